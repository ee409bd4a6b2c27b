#!/bin/sh
# Builds godwit-guest.elf from this folder with gcc and GNU ld; the result depends on their versions alone.
# usage: build.sh [output folder]      (default: this folder; also writes godwit-guest.toolchain there)
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
out=${1:-$here}
cd "$here"
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
flags="-m64 -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie -fno-stack-protector -mno-red-zone
  -mgeneral-regs-only -mcmodel=small -fcf-protection=none -fno-asynchronous-unwind-tables -fno-ident
  -fno-tree-loop-distribute-patterns -fno-strict-aliasing -march=x86-64 -mtune=generic"
for source in boot.S main.c args.c clock.c content.c disk.c interrupts.c memory.c pci.c power.c serial.c; do
  gcc $flags -c "$source" -o "$objects/$source.o"
done
cd "$objects"
ld -m elf_x86_64 -static --nmagic --build-id=none --strip-all --no-warn-rwx-segments -T "$here/guest.ld" \
  -o "$out/godwit-guest.elf" boot.S.o main.c.o args.c.o clock.c.o content.c.o disk.c.o interrupts.c.o memory.c.o pci.c.o \
  power.c.o serial.c.o
{ gcc --version | head -n 1; ld --version | head -n 1; } > "$out/godwit-guest.toolchain"
