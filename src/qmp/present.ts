/**
 * What a VM has by now besides what it was started with: named devices, drives and their media, block nodes,
 * objects. Only reads. Not responsible for the VM as a whole (machine.ts).
 */

import { z } from 'zod';
import type { QmpExecutor } from './client.ts';
import { qomGet, qomList, queryChardev } from './commands-vm.ts';
import { isRefusal } from './errors.ts';
import { ask } from './reply.ts';

type Scalar = string | number | boolean;
type Properties = Readonly<Record<string, Scalar>>;

export interface Present {
  readonly devices: readonly {
    readonly id: string;
    readonly type: string;
    readonly bus: string | null;
    readonly properties: Properties;
  }[];
  readonly drives: readonly {
    readonly name: string;
    readonly device: string | null;
    readonly medium: { readonly file: string; readonly driver: string; readonly node: string } | null;
  }[];
  readonly nodes: readonly {
    readonly name: string;
    readonly driver: string;
    readonly file: string;
    readonly isReadOnly: boolean;
  }[];
  readonly objects: readonly {
    readonly id: string;
    readonly type: string;
    readonly properties: Properties;
  }[];
  readonly chardevs: readonly string[];
}

const ENTRIES_MAX = 65_536;

/**
 * `told`: devices that somebody else describes; of them only the address is read. Of the others every
 * property that is not at its default. Errors: those of execute.
 */
export async function gatherPresent(qemu: QmpExecutor, told: ReadonlySet<string>): Promise<Present> {
  return {
    devices: await gatherDevices(qemu, told),
    drives: await gatherDrives(qemu),
    nodes: await gatherNodes(qemu),
    objects: await gatherObjects(qemu),
    chardevs: (await queryChardev(qemu)).map(({ label }) => label),
  };
}

const PERIPHERAL = '/machine/peripheral';

async function gatherDevices(qemu: QmpExecutor, told: ReadonlySet<string>): Promise<Present['devices']> {
  const found: Present['devices'][number][] = [];
  for (const { name: id, type } of await childrenOf(qemu, PERIPHERAL)) {
    const path = `${PERIPHERAL}/${id}`;
    const bus = await scalarOf(qemu, path, 'parent_bus');
    const addr = await scalarOf(qemu, path, 'addr');
    found.push({
      id,
      type,
      // A bus is named as the last part of its path.
      bus: typeof bus === 'string' && bus !== '' ? bus.slice(bus.lastIndexOf('/') + 1) : null,
      properties: {
        ...(told.has(id) ? {} : await changedProperties(qemu, path, type)),
        ...(addr === null ? {} : { addr }),
      },
    });
  }
  return found;
}

const propertiesSchema = z
  .array(z.object({ name: z.string(), type: z.string(), 'default-value': z.unknown().optional() }))
  .max(ENTRIES_MAX);

async function changedProperties(qemu: QmpExecutor, path: string, typename: string): Promise<Properties> {
  const changed: Record<string, Scalar> = {};
  const all = await ask(qemu, propertiesSchema, 'device-list-properties', { typename });
  for (const { name, type, 'default-value': usual } of all) {
    // A vCPU has hundreds of features, which the -cpu of the command line says for all of them.
    if (type.startsWith('child<') || (typename.endsWith('-cpu') && !name.endsWith('-id'))) continue;
    const is = await scalarOf(qemu, path, name);
    if (is === null || is === usual) continue;
    changed[name] = type.startsWith('link<') ? String(is).slice(String(is).lastIndexOf('/') + 1) : is;
  }
  return changed;
}

async function gatherObjects(qemu: QmpExecutor): Promise<Present['objects']> {
  const found: Present['objects'][number][] = [];
  for (const { name: id, type } of await childrenOf(qemu, '/objects')) {
    const properties: Record<string, Scalar> = {};
    for (const name of OBJECT_PROPERTIES) {
      const is = await scalarOf(qemu, `/objects/${id}`, name);
      if (is !== null) properties[name] = is;
    }
    found.push({ id, type, properties });
  }
  return found;
}

const OBJECT_PROPERTIES = ['size', 'share', 'hugetlb', 'filename'];

/** Objects below `path`: their names and types. */
async function childrenOf(qemu: QmpExecutor, path: string): Promise<{ name: string; type: string }[]> {
  return (await qomList(qemu, path)).flatMap(({ name, type }) => {
    const child = /^child<(.+)>$/.exec(type)?.[1];
    return child === undefined ? [] : [{ name, type: child }];
  });
}

/** null: there is no such property, or it is none that a command line could say. */
async function scalarOf(qemu: QmpExecutor, path: string, property: string): Promise<Scalar | null> {
  try {
    const value = await qomGet(qemu, path, property);
    return ['string', 'number', 'boolean'].includes(typeof value) ? (value as Scalar) : null;
  } catch (error) {
    if (isRefusal(error)) return null;
    throw error;
  }
}

const drivesSchema = z
  .array(
    z.object({
      device: z.string(),
      qdev: z.string().optional(),
      inserted: z
        .object({ file: z.string(), drv: z.string(), 'node-name': z.string().default('') })
        .optional(),
    }),
  )
  .max(ENTRIES_MAX);

async function gatherDrives(qemu: QmpExecutor): Promise<Present['drives']> {
  const list = await ask(qemu, drivesSchema, 'query-block');
  return list.map(({ device, qdev, inserted }) => ({
    name: device,
    device: qdev === undefined ? null : (/^\/machine\/peripheral\/([^/]+)/.exec(qdev)?.[1] ?? qdev),
    medium: inserted ? { file: inserted.file, driver: inserted.drv, node: inserted['node-name'] } : null,
  }));
}

const nodesSchema = z
  .array(
    z.object({ 'node-name': z.string().default(''), drv: z.string(), file: z.string(), ro: z.boolean() }),
  )
  .max(ENTRIES_MAX);

async function gatherNodes(qemu: QmpExecutor): Promise<Present['nodes']> {
  const list = await ask(qemu, nodesSchema, 'query-named-block-nodes');
  return list.map((node) => ({
    name: node['node-name'],
    driver: node.drv,
    file: node.file,
    isReadOnly: node.ro,
  }));
}
