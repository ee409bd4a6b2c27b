export { TARGETS, targetByName } from './registry.ts';
