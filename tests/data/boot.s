# boot.s: what a machine starts from the first sector of its disk
#
# Says what lies in sector FROM, then writes that to sector TO, and says whether it could.
#
#   as --32 -o boot.o boot.s && ld -m elf_i386 --oformat=binary -Ttext=0x7c00 -o boot boot.o
#
# SPDX-License-Identifier: LGPL-2.1-or-later
        .code16
        .set    FROM, 163840            # 80 MiB
        .set    TO, 81920               # 40 MiB
        .globl  _start
_start:
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        movb    $0x42, %ah              # read
        movw    $from, %si
        movb    $0x80, %dl
        int     $0x13
        jc      failed
        movw    $0x8000, %si
        call    say
        movw    $0x4300, %ax            # write
        movw    $to, %si
        movb    $0x80, %dl
        int     $0x13
        jc      failed
        movw    $good, %si
        call    say
        jmp     rest
failed:
        movw    $bad, %si
        call    say
rest:
        hlt
        jmp     rest

say:
        lodsb
        testb   %al, %al
        jz      said
        movw    $0x3f8, %dx             # the serial port
        outb    %al, %dx
        jmp     say
said:
        ret

from:   .byte   16, 0
        .word   1, 0x8000, 0
        .quad   FROM
to:     .byte   16, 0
        .word   1, 0x8000, 0
        .quad   TO
good:   .asciz  "written\r\n"
bad:    .asciz  "failed\r\n"
        .org    510
        .word   0xaa55
