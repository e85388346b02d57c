# writer.s: a machine that never stops writing, started from the first sector of its disk
#
# The number of a round, from 1 on, fills a sector of the first disk and then the same one of the
# second, if there is one.  Rounds go through SLOTS sectors, STRIDE apart, for ever; after the first
# time through all of them a line is said.
#
#   as --32 -o writer.o writer.s && ld -m elf_i386 --oformat=binary -Ttext=0x7c00 -o writer writer.o
#
# SPDX-License-Identifier: LGPL-2.1-or-later
        .code16
        .set    FROM, 2048              # 1 MiB
        .set    STRIDE, 128             # 64 KiB
        .set    SLOTS, 64
        .globl  _start
_start:
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        xorl    %ebx, %ebx
round:
        incl    %ebx
        movl    %ebx, %eax
        movw    $0x8000, %di
        movw    $128, %cx
        cld
        rep stosl
        movl    %ebx, %eax
        andl    $SLOTS - 1, %eax
        imull   $STRIDE, %eax, %eax
        addl    $FROM, %eax
        movl    %eax, where
        movb    $0x80, %dl
        call    put
        jc      failed
        movb    $0x81, %dl
        call    put
        cmpl    $SLOTS, %ebx
        jne     round
        movw    $through, %si
        call    say
        jmp     round
failed:
        movw    $bad, %si
        call    say
rest:
        hlt
        jmp     rest

put:
        pushl   %ebx
        movw    $0x4300, %ax            # write
        movw    $to, %si
        int     $0x13
        popl    %ebx
        ret

say:
        lodsb
        testb   %al, %al
        jz      said
        movw    $0x3f8, %dx             # the serial port
        outb    %al, %dx
        jmp     say
said:
        ret

to:     .byte   16, 0
        .word   1, 0x8000, 0
where:  .quad   FROM
through: .asciz "through\r\n"
bad:    .asciz  "failed\r\n"
        .org    510
        .word   0xaa55
