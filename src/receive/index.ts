export {
  LINGER_MS_DEFAULT,
  type ListenProgress,
  type ReceiveEnd,
  type ReceiveListenOptions,
  receiveListening,
} from './listener.ts';
export { receive } from './stdio.ts';
