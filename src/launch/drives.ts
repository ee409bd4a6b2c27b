/**
 * Drives as the guest finds them now: another medium than at the start, none any more, an image that took
 * over from an older one. Not responsible for disks that were plugged in since (plugged.ts).
 */

import type { Argument } from './arguments.ts';
import type { Context } from './context.ts';
import { absolute } from './names.ts';
import type { PresentDrive } from './types.ts';
import { parseValue, type Value } from './values.ts';

/** Short forms of -drive with their image as the whole value. */
const SHORT: ReadonlySet<string> = new Set(['hda', 'hdb', 'hdc', 'hdd', 'cdrom', 'fda', 'fdb', 'pflash']);

interface Named {
  /** Which argument it is. */
  readonly index: number;
  readonly argument: Argument;
  readonly value: Value;
  readonly file: string | null;
}

/** All arguments, with the images that the drives have now. */
export function rewriteDrives(all: readonly Argument[], context: Context): Argument[] {
  const named = all.flatMap((argument, index) => namedDrive(argument, index));
  for (const { value } of named) {
    if (value.get('snapshot') === 'on') {
      context.refuse('-drive snapshot=on: what the guest has written lies in a file that nobody can open');
    }
  }
  const changed = new Map<number, Argument>();
  for (const [drive, present] of changedDrives(named, context)) {
    changed.set(drive.index, withMedium(drive, present, context));
  }
  return all.map((argument, index) => changed.get(index) ?? argument);
}

function namedDrive(argument: Argument, index: number): Named[] {
  const { flag, value: text } = argument;
  if (text === null) return [];
  if (SHORT.has(flag)) {
    return [{ index, argument, value: parseValue('', 'file'), file: text }];
  }
  if (flag !== 'drive') return [];
  const value = parseValue(text, 'file');
  const file = value.get('file') ?? value.get('file.filename') ?? value.get('filename');
  return [{ index, argument, value, file }];
}

/** Drives of the command line with another medium now; a drive without a name is found by its image. */
function changedDrives(named: readonly Named[], context: Context): (readonly [Named, PresentDrive])[] {
  const isSame = ({ file }: Named, present: PresentDrive) =>
    file === null
      ? present.medium === null
      : present.medium !== null && isSameFile(file, present.medium.file, context);
  const left = new Set(context.source.drives.filter(({ name }) => name !== ''));
  const open: Named[] = [];
  const changed: (readonly [Named, PresentDrive])[] = [];
  for (const drive of named) {
    const id = drive.value.get('id');
    const present =
      id === null
        ? [...left].find((one) => isSame(drive, one))
        : context.source.drives.find((one) => one.name === id);
    if (present === undefined) open.push(drive);
    else {
      left.delete(present);
      if (!isSame(drive, present)) changed.push([drive, present]);
    }
  }
  // The drives that QEMU makes by itself are empty, and have no words in the command line.
  const others = [...left].filter(({ medium }) => medium !== null || open.length > 0);
  for (const drive of open) {
    if (drive.value.get('id') !== null) continue;
    if (open.length === 1 && others.length === 1) changed.push([drive, others[0]!]);
    else
      context.refuse(
        `${wordsOf(drive)}: which drive that is now, among several that have changed, is not known`,
      );
  }
  return changed;
}

function withMedium(drive: Named, present: PresentDrive, context: Context): Argument {
  const { flag, value: text } = drive.argument;
  const { medium } = present;
  if (medium === null) {
    context.info(`${wordsOf(drive)}: its medium was taken out, the twin's drive is empty`);
    if (flag === 'cdrom') return { flag: 'drive', value: 'media=cdrom' };
    if (flag === 'fda' || flag === 'fdb')
      return { flag: 'drive', value: `if=floppy,index=${flag === 'fda' ? 0 : 1}` };
    return { flag, value: drive.value.remove('file').remove('format').text };
  }
  const file = context.names.map(medium.file);
  if (/^(json|nbd|ssh|https?|rbd|iscsi):/.test(medium.file)) {
    context.refuse(`${wordsOf(drive)}: it has ${medium.file} now, which has no place in that option`);
  }
  context.info(`${wordsOf(drive)}: it has ${medium.file} (${medium.driver}) now`);
  if (SHORT.has(flag))
    return flag === 'cdrom' || medium.driver !== 'raw'
      ? longForm(flag, file, medium.driver)
      : { flag, value: file };
  return {
    flag,
    value: parseValue(text ?? '', 'file')
      .set('file', file)
      .set('format', medium.driver).text,
  };
}

/** The short forms guess the format, and would take an image for a disk of that format's bytes. */
function longForm(flag: string, file: string, driver: string): Argument {
  const place = /^hd[a-d]$/.test(flag)
    ? `index=${'abcd'.indexOf(flag[2]!)},media=disk`
    : flag === 'cdrom'
      ? 'media=cdrom'
      : flag === 'pflash'
        ? 'if=pflash'
        : `if=floppy,index=${flag === 'fda' ? 0 : 1}`;
  return { flag: 'drive', value: `file=${file.replaceAll(',', ',,')},format=${driver},${place}` };
}

function isSameFile(one: string, other: string, { workingFolder, names }: Context): boolean {
  const there = names.map(other);
  return one === there || absolute(one, workingFolder) === absolute(there, workingFolder);
}

function wordsOf({ argument }: Named): string {
  return `-${argument.flag} ${argument.value}`;
}

/** `-blockdev` whose node is gone, and the drive of a device that is empty now. */
export function rewriteNodes(all: readonly Argument[], context: Context): Argument[] {
  const { nodes, drives } = context.source;
  const gone = new Set<string>();
  const kept = all.filter(({ flag, value }) => {
    const node = flag === 'blockdev' && value !== null ? parseValue(value, 'driver').get('node-name') : null;
    if (node === null || nodes.some(({ name }) => name === node)) return true;
    gone.add(node);
    context.info(`-blockdev ${node}: it was removed since the start`);
    return false;
  });
  return kept.map((argument) => {
    if (argument.flag !== 'device' || argument.value === null) return argument;
    const value = parseValue(argument.value, 'driver');
    const [id, node] = [value.get('id'), value.get('drive')];
    if (node === null || drives.some(({ name }) => name === node)) return argument;
    const present = drives.find(({ device }) => device !== null && device === id);
    if (present === undefined || present.medium?.node === node) return argument;
    if (present.medium === null) {
      context.info(`-device ${id}: its medium was taken out, the twin's drive is empty`);
      return { flag: 'device', value: value.remove('drive').text };
    }
    context.refuse(
      `-device ${id}: it has ${present.medium.file} now instead of ${node}, and how that was opened is not known`,
    );
    return argument;
  });
}
