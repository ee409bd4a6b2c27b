/**
 * What a Linux guest can run: the Debian packages it comes from, the files it needs and how it is started. A
 * table, and the guest's command line. Not responsible for building the image (image.ts).
 */

import { GodwitError } from '../../base/index.ts';

export const LINUX_PROGRAMS = ['idle', 'stress', 'stress-ng', 'redis', 'web', 'stream'] as const;
export type LinuxProgram = (typeof LINUX_PROGRAMS)[number];

export interface LinuxGuestOptions {
  readonly program: LinuxProgram;
  /** `stress` and `stress-ng` only: what they write over and over. */
  readonly stressBytes: number;
  readonly beatMs: number;
}

export const LINUX_GUEST_DEFAULTS: Omit<LinuxGuestOptions, 'program'> = {
  stressBytes: 200 * 2 ** 20,
  // Each beat is a line through an emulated serial port; 10 ms would be a tenth of an idle guest's work.
  beatMs: 20,
};

export interface ProgramRecipe {
  /** Debian packages beside those of every guest. */
  readonly packages: readonly string[];
  /** Programs; the shared libraries that they name come along. */
  readonly files: readonly string[];
  /** Made by us, by path. */
  readonly texts: Readonly<Record<string, string>>;
  /** Files of content that no page of another file repeats, by path: count and size. */
  readonly contents: Readonly<Record<string, { readonly count: number; readonly bytes: number }>>;
  /** A line of shell. Empty: nothing is started. */
  readonly start: string;
  /** Where it listens; the guest is not ready before. */
  readonly port: number | null;
}

const NGINX_CONFIG = `user root root;
worker_processes 1;
daemon off;
pid /tmp/nginx.pid;
error_log /tmp/program.log error;
events { worker_connections 256; }
http {
  access_log /tmp/access.log;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  server { listen 80; root /srv; }
}
`;

const nginx = {
  packages: ['nginx'],
  files: ['/usr/sbin/nginx'],
  texts: {
    'godwit/nginx.conf': NGINX_CONFIG,
    'etc/passwd': 'root:x:0:0:root:/:/bin/sh\n',
    'etc/group': 'root:x:0:\n',
  },
  start: 'busybox mkdir -p /var/log/nginx /var/lib/nginx && exec /usr/sbin/nginx -c /godwit/nginx.conf',
  port: 80,
};

export const PROGRAM_RECIPES: Readonly<Record<LinuxProgram, ProgramRecipe>> = {
  idle: { packages: [], files: [], texts: {}, contents: {}, start: '', port: null },
  stress: {
    packages: ['stress'],
    files: ['/usr/bin/stress'],
    texts: {},
    contents: {},
    // It checks what it wrote last before it writes again, and says "memory corruption at" where that is
    // gone.
    start: 'exec /usr/bin/stress --vm 1 --vm-bytes "$stress" --vm-keep',
    port: null,
  },
  'stress-ng': {
    packages: ['stress-ng'],
    files: ['/usr/bin/stress-ng'],
    texts: {},
    contents: {},
    // Every word of every page gets a random value, is read back, and a wrong one is a failure.
    start:
      'exec /usr/bin/stress-ng --temp-path /tmp --vm 1 --vm-bytes "$stress" --vm-keep --vm-method rand-set --verify',
    port: null,
  },
  redis: {
    packages: ['redis-server'],
    files: ['/usr/bin/redis-server'],
    texts: {},
    contents: {},
    start:
      'exec /usr/bin/redis-server --port 6379 --bind 0.0.0.0 --protected-mode no --save "" --appendonly no --dir /tmp',
    port: 6379,
  },
  web: { ...nginx, contents: { 'srv/page': { count: 64, bytes: 16 * 1024 } } },
  stream: { ...nginx, contents: { 'srv/segment': { count: 32, bytes: 1024 * 1024 } } },
};

/** What the guest's first process reads from the kernel's command line. */
export function linuxCommandLine(options: LinuxGuestOptions): string {
  const { program, stressBytes, beatMs } = options;
  if (!Number.isInteger(stressBytes) || stressBytes < 2 ** 20 || stressBytes > 2 ** 40) {
    throw new GodwitError('USAGE_VALUE', `stress cannot write ${stressBytes} bytes`, {
      hint: 'from 1 MiB to 1 TiB',
    });
  }
  const { port } = PROGRAM_RECIPES[program];
  return [
    // A console that stays silent leaves the serial port to the guest's own lines. A slow host must not fail
    // the kernel's check of its timer.
    ...['console=ttyS0', 'quiet', 'loglevel=1', 'panic=1', 'no_timer_check', 'rdinit=/godwit/init'],
    ...[`program=${program}`, `stress=${stressBytes}`, `beat=${beatMs}`, `port=${port ?? 0}`],
    `address=${GUEST_ADDRESS}/24`,
  ].join(' ');
}

/** The guest's own, on a network of its own (user-network.ts): the same in every lab. */
export const GUEST_ADDRESS = '10.71.0.2';
