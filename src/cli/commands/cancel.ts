/** `godwit cancel ID`: give the migration up; the source VM goes on. */

import { controlCommand } from '../control/control.ts';

export const command = controlCommand(
  () => undefined,
  () => ({ do: 'cancel' }),
);
