/**
 * CPUID bits by their names, and which of two CPUs has what the other lacks. The names are QEMU's CPU
 * properties; the bits are the processors' own (Intel SDM, CPUID; AMD APM, appendix E). Pure. Not responsible
 * for asking QEMU (machine.ts).
 */

/** By register as MachineDescription names it: the name of each bit from 0 on; "-" has none. */
const NAMES: Readonly<Record<string, string>> = {
  '1.0.EDX': `fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov
    pat pse36 pn clflush - ds acpi mmx fxsr sse sse2 ss ht tm ia64 pbe`,
  '1.0.ECX': `pni pclmulqdq dtes64 monitor ds-cpl vmx smx est tm2 ssse3 cid - fma cx16 xtpr pdcm
    - pcid dca sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave osxsave avx f16c rdrand hypervisor`,
  '7.0.EBX': `fsgsbase tsc-adjust sgx bmi1 hle avx2 fdp-excptn-only smep bmi2 erms invpcid rtm - zero-fcs-fds mpx -
    avx512f avx512dq rdseed adx smap avx512ifma pcommit clflushopt clwb intel-pt avx512pf avx512er avx512cd sha-ni avx512bw avx512vl`,
  '7.0.ECX': `- avx512vbmi umip pku ospke waitpkg avx512vbmi2 - gfni vaes vpclmulqdq avx512vnni avx512bitalg - avx512-vpopcntdq -
    la57 - - - - - rdpid - bus-lock-detect cldemote - movdiri movdir64b - sgxlc pks`,
  '7.0.EDX': `- - avx512-4vnniw avx512-4fmaps fsrm - - - avx512-vp2intersect - md-clear - - - serialize -
    tsx-ldtrk - - arch-lbr - - amx-bf16 avx512-fp16 amx-tile amx-int8 spec-ctrl stibp flush-l1d arch-capabilities core-capability ssbd`,
  '7.1.EAX': `sha512 sm3 sm4 - avx-vnni avx512-bf16 - cmpccxadd - - fzrm fsrs fsrc - - -
    - fred lkgs wrmsrns - amx-fp16 - avx-ifma - - lam`,
  'd.1.EAX': 'xsaveopt xsavec xgetbv1 xsaves xfd',
  '6.0.EAX': '- - arat',
  '80000001.0.EDX': `- - - - - - - - - - - syscall - - - -
    - - - - nx - mmxext - - fxsr-opt pdpe1gb rdtscp - lm 3dnowext 3dnow`,
  '80000001.0.ECX': `lahf-lm cmp-legacy svm extapic cr8legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp
    fma4 tce - nodeid-msr - tbm topoext perfctr-core perfctr-nb`,
  '80000008.0.EBX': `clzero - xsaveerptr - - - - - - wbnoinvd - - ibpb - ibrs amd-stibp
    - stibp-always-on - - - - - - amd-ssbd virt-ssbd amd-no-ssb - amd-psfd`,
  '40000001.0.EAX': `kvmclock kvm-nopiodelay kvm-mmu kvmclock kvm-asyncpf kvm-steal-time kvm-pv-eoi kvm-pv-unhalt - kvm-pv-tlb-flush - kvm-pv-ipi
    kvm-poll-control kvm-pv-sched-yield kvm-asyncpf-int kvm-msi-ext-dest-id`,
};

const LISTS = new Map(Object.entries(NAMES).map(([register, names]) => [register, names.split(/\s+/)]));

/**
 * Not the model's: whether there are several vCPUs (ht, cmp-legacy), which QEMU's versions report from
 * different places and every guest with several vCPUs is shown; and what the guest itself has switched on.
 */
const NOT_COMPARED: ReadonlySet<string> = new Set(['ht', 'cmp-legacy', 'osxsave', 'ospke']);

/** The name of a CPUID bit; "leaf.subleaf.register bit n" where it has none here. */
export function featureName(register: string, bit: number): string {
  const name = LISTS.get(register)?.[bit];
  return name === undefined || name === '-' ? `${register} bit ${bit}` : name;
}

/** Names of the bits that `one` has and `other` has not. */
export function featuresOnlyIn(
  one: ReadonlyMap<string, number>,
  other: ReadonlyMap<string, number>,
): readonly string[] {
  const names = new Set<string>();
  for (const [register, word] of one) {
    const only = word & ~(other.get(register) ?? 0);
    for (let bit = 0; bit < 32; bit++) if ((only >>> bit) & 1) names.add(featureName(register, bit));
  }
  return [...names].filter((name) => !NOT_COMPARED.has(name));
}
