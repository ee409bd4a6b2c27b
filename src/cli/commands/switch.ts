/** `godwit switch ID`: stop the VM and copy the rest now, however long that takes. */

import { controlCommand } from '../control/control.ts';

export const command = controlCommand(
  () => undefined,
  () => ({ do: 'switch' }),
);
