/*
 * Entry from a multiboot loader (32-bit protected mode) into 64-bit C, and the interrupt stubs. Not
 * responsible for page tables beyond the first GiB: memory.c adds them once it knows how much RAM there is.
 */
.set MULTIBOOT_MAGIC, 0x1BADB002
.set MULTIBOOT_FLAGS, 0x00010002        /* memory map wanted; load addresses below, because the file is a 64-bit ELF */

.section .multiboot, "a"
.balign 4
multiboot_header:
    .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
    .long multiboot_header, image_start, image_file_end, image_end, start32

.section .text
.code32
.globl start32
start32:
    cli
    cld
    mov $boot_stack_top, %esp
    mov %eax, %edi                      /* multiboot's magic and info, kept for guest_main */
    mov %ebx, %esi

    /* First GiB, identity, 2 MiB pages. */
    mov $page_directory_first, %eax
    or $3, %eax
    mov %eax, page_directory_pointers
    mov $page_directory_pointers, %eax
    or $3, %eax
    mov %eax, page_map_level4
    mov $page_directory_first, %edx
    mov $0x83, %eax                     /* present, writable, large */
    mov $512, %ecx
1:  mov %eax, (%edx)
    add $0x200000, %eax
    add $8, %edx
    loop 1b

    mov %cr4, %eax
    or $0x20, %eax                      /* PAE */
    mov %eax, %cr4
    mov $page_map_level4, %eax
    mov %eax, %cr3
    mov $0xC0000080, %ecx               /* EFER.LME */
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000001, %eax
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $start64

.code64
start64:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %eax, %fs
    mov %eax, %gs
    xor %eax, %eax
    lldt %ax
    mov $24, %eax                       /* a valid task register: without one some hosts emulate every instruction */
    ltr %ax
    mov $boot_stack_top, %rsp
    mov %edi, %edi                      /* clears the upper halves */
    mov %esi, %esi
    call guest_main
halt_for_ever:
    cli
    hlt
    jmp halt_for_ever

/* IRQ 0 only ends a hlt; every decision is taken by polling. */
.globl irq_timer
irq_timer:
    push %rax
    mov $0x20, %al
    out %al, $0x20
    pop %rax
.globl irq_ignored
irq_ignored:
    iretq

/* Exceptions 0..31: 16 bytes apart, so that interrupts.c can compute their addresses. */
.globl exception_stubs
.balign 16
exception_stubs:
.set vector, 0
.rept 32
    .balign 16
    mov $vector, %edi
    jmp exception_common
    .set vector, vector + 1
.endr
exception_common:
    mov (%rsp), %rsi
    mov 8(%rsp), %rdx
    mov %cr2, %rcx
    and $-16, %rsp
    call guest_fault
    jmp halt_for_ever

.section .rodata
.balign 8
gdt:
    .quad 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF
    .quad 0x0000890000000067, 0         /* task state at address 0: nothing ever uses it, there is one privilege level */
gdt_pointer:
    .word . - gdt - 1
    .long gdt

.section .note.GNU-stack, "", @progbits

.section .bss
.balign 4096
.globl page_directory_pointers
page_map_level4:            .skip 4096
page_directory_pointers:    .skip 4096
page_directory_first:       .skip 4096
boot_stack:                 .skip 16384
boot_stack_top:
