/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The instructions of vector.c, and the passage that runs one of them on given registers.
 *
 * A case starts with: rax = the place in memory, rdi the same, zmm1 data, zmm2 indexes, zmm3 a mask in the
 * sign bits, k1 a mask, k2 all ones, gs base = a page before the place; rdx = the place minus 64. */

/* CASE kind, instruction: `kind` (enum kind) selects the situations, the instruction is also the name. */
.macro CASE kind, text
    .text
771:
    \text
    ret
    .section .rodata
772: .asciz "\text"
    .section case_table, "a"
    .quad 771b, 772b, KIND_\kind
.endm

/* The same for 32-bit code, called with a far call. */
.macro CASE_COMPAT kind, text
    .text
    .code32
771:
    \text
    lretl
    .code64
    .section .rodata
772: .asciz "32-bit: \text"
    .section case_table, "a"
    .quad 771b, 772b, \kind
.endm
.macro CASE32 text
    CASE_COMPAT KIND_COMPAT2, "\text"
.endm
.macro CASE32_5 text
    CASE_COMPAT KIND_COMPAT5, "\text"
.endm

    .equ KIND_GATHER2, 0
    .equ KIND_GATHER5, 1
    .equ KIND_MASK2, 2
    .equ KIND_MASK5, 3
    .equ KIND_PLAIN2, 4
    .equ KIND_ALIGN, 5
    .equ KIND_ALIGN5, 6
    .equ KIND_COMPAT2, 7
    .equ KIND_COMPAT5, 8
    .equ KIND_EXTENT2, 9
    .equ KIND_EXTENT5, 10
    .equ KIND_BYTES2, 11 /* AMD only from here on */
    .equ KIND_ALIGNV, 12
    .equ KIND_ALIGNV5, 13

/* x87 instruction pointers, which the translator hides. */
.macro SCRUB32 reg
    .irp n, 12,16,20,24
    movl $0, \n(\reg)
    .endr
.endm
.macro SCRUB16 reg
    .irp n, 6,8,10,12
    movw $0, \n(\reg)
    .endr
.endm

    .section case_table, "a"
    .globl case_table_start
case_table_start:

/* ---- gathers, scatters ------------------------------------------------------------------------- */

.macro GATHER_VEX name, x, y, xi, yi
    CASE GATHER2, "v\name \x\()3, (%rax, \xi\()2, 4), \x\()1"
    CASE GATHER2, "v\name \y\()3, (%rax, \yi\()2, 4), \y\()1"
    CASE GATHER2, "v\name \x\()3, 8(%rax, \xi\()2, 8), \x\()1"
    CASE GATHER2, "v\name \y\()3, -5(%rax, \yi\()2, 1), \y\()1"
    CASE GATHER2, "v\name \y\()13, (%rax, \yi\()12, 2), \y\()11"
    CASE GATHER2, "v\name \x\()3, (%eax, \xi\()2, 4), \x\()1"
    CASE GATHER2, "v\name \y\()3, %gs:4096(, \yi\()2, 4), \y\()1"
    CASE GATHER2, "v\name \y\()3, %gs:4096(%ebx, \yi\()2, 4), \y\()1"
    CASE GATHER2, "v\name \y\()3, 64(%rdx, \yi\()2, 4), \y\()1"
.endm
    GATHER_VEX pgatherdd, %xmm, %ymm, %xmm, %ymm
    GATHER_VEX gatherdps, %xmm, %ymm, %xmm, %ymm
    GATHER_VEX pgatherdq, %xmm, %ymm, %xmm, %xmm
    GATHER_VEX gatherdpd, %xmm, %ymm, %xmm, %xmm
    GATHER_VEX pgatherqd, %xmm, %xmm, %xmm, %ymm
    GATHER_VEX gatherqps, %xmm, %xmm, %xmm, %ymm
    GATHER_VEX pgatherqq, %xmm, %ymm, %xmm, %ymm
    GATHER_VEX gatherqpd, %xmm, %ymm, %xmm, %ymm

.macro GATHER_EVEX name, r, i
    CASE GATHER5, "v\name (%rax, \i\()2, 4), \r\()1{%k1}"
    CASE GATHER5, "v\name (%rax, \i\()22, 8), \r\()21{%k1}"
    CASE GATHER5, "v\name 8(%rax, \i\()12, 1), \r\()31{%k1}"
    CASE GATHER5, "v\name %gs:4096(, \i\()2, 4), \r\()11{%k2}"
    CASE GATHER5, "v\name (%eax, \i\()2, 2), \r\()1{%k1}"
    CASE GATHER5, "v\name -512(%rax, \i\()2, 4), \r\()1{%k7}"
.endm
    GATHER_EVEX pgatherdd, %xmm, %xmm
    GATHER_EVEX pgatherdd, %ymm, %ymm
    GATHER_EVEX pgatherdd, %zmm, %zmm
    GATHER_EVEX gatherdps, %zmm, %zmm
    GATHER_EVEX pgatherdq, %xmm, %xmm
    GATHER_EVEX pgatherdq, %ymm, %xmm
    GATHER_EVEX pgatherdq, %zmm, %ymm
    GATHER_EVEX gatherdpd, %zmm, %ymm
    GATHER_EVEX pgatherqd, %xmm, %xmm
    GATHER_EVEX pgatherqd, %xmm, %ymm
    GATHER_EVEX pgatherqd, %ymm, %zmm
    GATHER_EVEX gatherqps, %ymm, %zmm
    GATHER_EVEX pgatherqq, %xmm, %xmm
    GATHER_EVEX pgatherqq, %ymm, %ymm
    GATHER_EVEX pgatherqq, %zmm, %zmm
    GATHER_EVEX gatherqpd, %zmm, %zmm

.macro SCATTER name, r, i
    CASE GATHER5, "v\name \r\()1, (%rax, \i\()2, 4){%k1}"
    CASE GATHER5, "v\name \r\()21, (%rax, \i\()22, 1){%k1}"
    CASE GATHER5, "v\name \r\()31, %gs:4096(, \i\()12, 8){%k2}"
    CASE GATHER5, "v\name \r\()2, 8(%eax, \i\()2, 2){%k1}"
.endm
    SCATTER pscatterdd, %xmm, %xmm
    SCATTER pscatterdd, %ymm, %ymm
    SCATTER pscatterdd, %zmm, %zmm
    SCATTER scatterdps, %zmm, %zmm
    SCATTER pscatterdq, %xmm, %xmm
    SCATTER pscatterdq, %zmm, %ymm
    SCATTER scatterdpd, %zmm, %ymm
    SCATTER pscatterqd, %xmm, %xmm
    SCATTER pscatterqd, %ymm, %zmm
    SCATTER scatterqps, %ymm, %zmm
    SCATTER pscatterqq, %ymm, %ymm
    SCATTER pscatterqq, %zmm, %zmm
    SCATTER scatterqpd, %zmm, %zmm

/* #UD: equal registers, no mask register, bits that must be as they are. */
    CASE GATHER2, ".byte 0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x98 /* vpgatherdd ymm3, [rax+ymm3*4], ymm1 */"
    CASE GATHER2, ".byte 0xc4, 0xe2, 0x75, 0x90, 0x0c, 0x90 /* vpgatherdd ymm1, [rax+ymm2*4], ymm1 */"
    CASE GATHER2, ".byte 0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x88 /* vpgatherdd ymm3, [rax+ymm1*4], ymm1 */"
    CASE GATHER2, ".byte 0xc4, 0xe2, 0x65, 0x90, 0x08 /* no SIB */"
    CASE GATHER2, ".byte 0xc4, 0xe2, 0x65, 0x90, 0xc8 /* register operand */"
    CASE GATHER5, ".byte 0x62, 0xf2, 0x7d, 0x48, 0x90, 0x0c, 0x90 /* k0 */"
    CASE GATHER5, ".byte 0x62, 0xf2, 0x7d, 0x49, 0x90, 0x0c, 0x88 /* data is index */"
    CASE GATHER5, ".byte 0x62, 0xf2, 0x7d, 0xc9, 0x90, 0x0c, 0x90 /* z */"
    CASE GATHER5, ".byte 0x62, 0xf2, 0x7d, 0x59, 0x90, 0x0c, 0x90 /* b */"
    CASE GATHER5, ".byte 0x62, 0xf2, 0x75, 0x49, 0x90, 0x0c, 0x90 /* vvvv */"
    CASE GATHER5, ".byte 0x62, 0xf2, 0x7d, 0x48, 0xa0, 0x0c, 0x90 /* scatter, k0 */"
    CASE GATHER5, ".byte 0x62, 0xf2, 0x7d, 0xc9, 0xa0, 0x0c, 0x90 /* scatter, z */"

/* ---- stores of single bytes -------------------------------------------------------------------- */

    CASE BYTES2, "maskmovdqu %xmm3, %xmm1"
    CASE BYTES2, "maskmovdqu %xmm13, %xmm11"
    CASE BYTES2, "vmaskmovdqu %xmm3, %xmm1"
    CASE BYTES2, "addr32 maskmovdqu %xmm3, %xmm1"
    CASE BYTES2, "mov $4096, %edi; gs maskmovdqu %xmm3, %xmm1"
    CASE BYTES2, "movdq2q %xmm3, %mm3; movdq2q %xmm1, %mm1; maskmovq %mm3, %mm1; emms"

/* ---- masked loads and stores ------------------------------------------------------------------- */

.macro MASKED_VEX name
    CASE MASK2, "v\name (%rax), %xmm3, %xmm1"
    CASE MASK2, "v\name (%rax), %ymm3, %ymm1"
    CASE MASK2, "v\name %xmm1, %xmm3, (%rax)"
    CASE MASK2, "v\name %ymm1, %ymm3, 64(%rdx)"
    CASE MASK2, "v\name %ymm1, %ymm3, %gs:4096"
    CASE MASK2, "v\name (%eax), %ymm13, %ymm11"
.endm
    MASKED_VEX maskmovps
    MASKED_VEX maskmovpd
    MASKED_VEX pmaskmovd
    MASKED_VEX pmaskmovq

.macro MASKED_EVEX name
    CASE MASK5, "\name (%rax), %xmm1{%k1}"
    CASE MASK5, "\name (%rax), %ymm1{%k1}{z}"
    CASE MASK5, "\name (%rax), %zmm1{%k1}"
    CASE MASK5, "\name (%rax), %zmm31{%k1}{z}"
    CASE MASK5, "\name %xmm1, (%rax){%k1}"
    CASE MASK5, "\name %ymm1, 64(%rdx){%k1}"
    CASE MASK5, "\name %zmm1, (%rax){%k1}"
    CASE MASK5, "\name %zmm21, %gs:4096{%k1}"
.endm
    MASKED_EVEX vmovdqu8
    MASKED_EVEX vmovdqu16
    MASKED_EVEX vmovdqu32
    MASKED_EVEX vmovdqu64
    MASKED_EVEX vmovups
    MASKED_EVEX vmovapd
    MASKED_EVEX vmovdqa32

.macro COMPRESS store, load
    CASE MASK5, "\store %xmm1, (%rax){%k1}"
    CASE MASK5, "\store %zmm1, (%rax){%k1}"
    CASE MASK5, "\store %zmm31, (%rax)"
    CASE MASK5, "\load (%rax), %ymm1{%k1}"
    CASE MASK5, "\load (%rax), %zmm1{%k1}{z}"
    CASE MASK5, "\load (%rax), %zmm31"
.endm
    COMPRESS vpcompressd, vpexpandd
    COMPRESS vpcompressq, vpexpandq
    COMPRESS vcompressps, vexpandps
    COMPRESS vcompresspd, vexpandpd
    COMPRESS vpcompressb, vpexpandb
    COMPRESS vpcompressw, vpexpandw

.macro NARROW name
    CASE MASK5, "\name %zmm1, (%rax){%k1}"
    CASE MASK5, "\name %ymm1, (%rax){%k1}"
    CASE MASK5, "\name %xmm1, (%rax){%k1}"
    CASE MASK5, "\name %zmm1, (%rax)"
    CASE MASK5, "\name %xmm1, (%rax)"
.endm
    NARROW vpmovqb
    NARROW vpmovqw
    NARROW vpmovqd
    NARROW vpmovdb
    NARROW vpmovdw
    NARROW vpmovwb
    NARROW vpmovusdb

    CASE MASK5, "vpaddd (%rax){1to16}, %zmm2, %zmm1"
    CASE MASK5, "vpaddd (%rax){1to16}, %zmm2, %zmm1{%k1}"
    CASE MASK5, "vpaddq (%rax){1to8}, %zmm2, %zmm1{%k1}{z}"
    CASE MASK5, "vpaddq (%rax){1to2}, %xmm2, %xmm1{%k1}"
    CASE MASK5, "vaddps 4(%rax){1to4}, %xmm2, %xmm1{%k1}"
    CASE MASK5, "vaddpd 8(%rax){1to4}, %ymm2, %ymm1"
    CASE MASK5, "vcvtdq2pd (%rax){1to8}, %zmm1{%k1}"
    CASE MASK5, "vpternlogd $0x96, (%rax){1to16}, %zmm2, %zmm1{%k1}"
    CASE MASK5, "vpaddd (%rax), %zmm2, %zmm1{%k1}"
    CASE MASK5, "vpaddb (%rax), %ymm2, %ymm1{%k1}"
    CASE MASK5, "vpcmpeqd (%rax), %zmm2, %k3{%k1}"
    CASE MASK5, "vpermd (%rax), %zmm2, %zmm1{%k1}"
    CASE MASK5, "vpshufb (%rax), %zmm2, %zmm1{%k1}"
    CASE MASK5, "vbroadcastss (%rax), %zmm1{%k1}"
    CASE MASK5, "vpbroadcastb (%rax), %zmm1{%k1}"
    CASE MASK5, "vbroadcasti32x4 (%rax), %zmm1{%k1}"
    CASE MASK5, "vbroadcasti64x4 (%rax), %zmm1{%k1}{z}"
    CASE MASK5, "vpmovzxbd (%rax), %zmm1{%k1}"
    CASE MASK5, "vpmovsxwq (%rax), %xmm1{%k1}"
    CASE MASK5, "vcvtps2pd (%rax), %zmm1{%k1}"
    CASE MASK5, "vcvtps2ph $0, %zmm1, (%rax){%k1}"
    CASE MASK5, "vinserti32x4 $1, (%rax), %zmm2, %zmm1{%k1}"
    CASE MASK5, "vextracti32x4 $1, %zmm1, (%rax){%k1}"
    CASE MASK5, "vextracti64x4 $1, %zmm1, (%rax){%k1}"
    CASE MASK5, "vmovss (%rax), %xmm1{%k1}"
    CASE MASK5, "vmovsd %xmm1, (%rax){%k1}"
    CASE MASK5, "vpexpandd (%rax), %zmm1{%k1}"
    CASE MASK5, "vcompresspd %zmm1, (%rax){%k1}"
    CASE MASK5, "kmovq (%rax), %k3"
    CASE MASK5, "kmovw %k1, (%rax)"

/* ---- unmasked, for comparison ------------------------------------------------------------------ */

    CASE PLAIN2, "movdqu (%rax), %xmm1"
    CASE PLAIN2, "movdqu %xmm1, (%rax)"
    CASE PLAIN2, "movdqa (%rax), %xmm1"
    CASE PLAIN2, "vmovdqu %ymm1, (%rax)"
    CASE PLAIN2, "vmovups (%rax), %ymm1"
    CASE PLAIN2, "vmovaps %ymm1, (%rax)"
    CASE PLAIN2, "vbroadcastf128 (%rax), %ymm1"
    CASE PLAIN2, "addps (%rax), %xmm1"
    CASE PLAIN2, "add %rbx, (%rax)"
    CASE PLAIN2, "mov (%rax), %ebx"
    CASE PLAIN2, "fldt (%rax); fstp %st(0)"
    CASE PLAIN2, "fldl (%rax); fstpt 64(%rdx)"
    CASE PLAIN2, "fninit; fnstenv (%rax); SCRUB32 %rax"
    CASE PLAIN2, "fninit; fld1; data16 fnstenv (%rax); SCRUB16 %rax; fninit"
    CASE PLAIN2, "fninit; fld1; fnsave (%rax); SCRUB32 %rax"
    CASE PLAIN2, "fninit; fldpi; data16 fnsave (%rax); SCRUB16 %rax"
    CASE PLAIN2, "fninit; fld1; fldpi; fnsave (%rdx); SCRUB32 %rdx; frstor (%rdx); fstpt (%rax); fninit"
    CASE PLAIN2, "fninit; fld1; fldpi; data16 fnsave (%rdx); SCRUB16 %rdx; data16 frstor (%rdx); fstpt (%rax); fninit"
    CASE PLAIN2, "fninit; fldl2e; fnstenv (%rax); SCRUB32 %rax; fldenv (%rax); fstpt (%rax); fninit"
    CASE PLAIN2, "fninit; fldl2e; data16 fnstenv (%rax); SCRUB16 %rax; data16 fldenv (%rax); fstpt (%rax); fninit"
    CASE PLAIN2, "fninit; frstor (%rax); fnstsw 32(%rdx); fnstcw (%rdx); fninit"
    CASE PLAIN2, "fninit; data16 frstor (%rax); fnstsw 32(%rdx); fninit"
    CASE PLAIN2, "and $-64, %rdi; mov $7, %eax; mov $0x55, %edx; xrstor (%rdi)"
    CASE PLAIN2, "and $-64, %rdi; mov $7, %eax; mov $0x55, %edx; xrstor 4(%rdi)"
    CASE PLAIN2, "and $-64, %rdi; mov $6, %eax; mov $0x55, %edx; xsave (%rdi)"
    CASE PLAIN2, "fninit; and $-64, %rdi; mov $7, %eax; mov $0x55, %edx; xsave (%rdi)"
    CASE PLAIN2, "fninit; and $-64, %rdi; mov $7, %eax; mov $0x55, %edx; xsavec (%rdi)"
    CASE PLAIN2, "fninit; fld1; and $-64, %rdi; mov $3, %eax; mov $0x55, %edx; xsavec (%rdi); fninit"
    CASE PLAIN2, "fninit; fld1; and $-16, %rdi; fxsave (%rdi); fninit"
    CASE PLAIN2, "and $-64, %rax; xor %edx, %edx; xsave (%rax)"
    CASE PLAIN2, "and $-64, %rdx; mov $7, %eax; xsave (%rdx)"
    CASE PLAIN2, "and $-64, %rdx; mov $7, %eax; xsavec 64(%rdx)"
    CASE PLAIN2, "and $-64, %rax; xor %edx, %edx; mov $2, %ecx; xrstor (%rax, %rcx, 4)"

/* ---- how much of memory is an instruction's operand? ---------------------------------------------- */

    CASE EXTENT2, "movlps (%rax), %xmm1"
    CASE EXTENT2, "movhpd (%rax), %xmm1"
    CASE EXTENT2, "movlpd %xmm1, (%rax)"
    CASE EXTENT2, "movddup (%rax), %xmm1"
    CASE EXTENT2, "movsldup (%rax), %xmm1"
    CASE EXTENT2, "cvtsi2sdl (%rax), %xmm1"
    CASE EXTENT2, "cvtsi2ssq (%rax), %xmm1"
    CASE EXTENT2, "cvttss2si (%rax), %ebx"
    CASE EXTENT2, "cvttsd2si (%rax), %rbx"
    CASE EXTENT2, "cvtps2pd (%rax), %xmm1"
    CASE EXTENT2, "cvtdq2pd (%rax), %xmm1"
    CASE EXTENT2, "cvtpd2ps (%rax), %xmm1"
    CASE EXTENT2, "cvtss2sd (%rax), %xmm1"
    CASE EXTENT2, "cvttpd2dq (%rax), %xmm1"
    CASE EXTENT2, "insertps $0, (%rax), %xmm1"
    CASE EXTENT2, "pinsrb $1, (%rax), %xmm1"
    CASE EXTENT2, "pinsrq $1, (%rax), %xmm1"
    CASE EXTENT2, "pextrb $1, %xmm1, (%rax)"
    CASE EXTENT2, "pextrw $1, %xmm1, (%rax)"
    CASE EXTENT2, "extractps $1, %xmm1, (%rax)"
    CASE EXTENT2, "pmovsxbq (%rax), %xmm1"
    CASE EXTENT2, "pmovsxwd (%rax), %xmm1"
    CASE EXTENT2, "pmovzxbd (%rax), %xmm1"
    CASE EXTENT2, "roundss $0, (%rax), %xmm1"
    CASE EXTENT2, "dppd $1, (%rax), %xmm1"
    CASE EXTENT2, "pclmulqdq $0, (%rax), %xmm1"
    CASE EXTENT2, "pcmpistri $0, (%rax), %xmm1"
    CASE EXTENT2, "aesenc (%rax), %xmm1"
    CASE EXTENT2, "psllw (%rax), %xmm1"
    CASE EXTENT2, "punpcklbw (%rax), %xmm1"
    CASE EXTENT2, "punpcklbw (%rax), %mm1; emms"
    CASE EXTENT2, "psllw (%rax), %mm1; emms"
    CASE EXTENT2, "pinsrw $1, (%rax), %mm1; emms"
    CASE EXTENT2, "movntq %mm1, (%rax); emms"
    CASE EXTENT2, "cvttps2pi (%rax), %mm1; emms"
    CASE EXTENT2, "cvtpi2pd (%rax), %xmm1; emms"
    CASE EXTENT2, "pshufb (%rax), %xmm1"
    CASE EXTENT2, "palignr $3, (%rax), %xmm1"
    CASE EXTENT2, "comiss (%rax), %xmm1"
    CASE EXTENT2, "ucomisd (%rax), %xmm1"
    CASE EXTENT2, "sqrtss (%rax), %xmm1"
    CASE EXTENT2, "rcpps (%rax), %xmm1"
    CASE EXTENT2, "cmpss $1, (%rax), %xmm1"
    CASE EXTENT2, "cmppd $1, (%rax), %xmm1"
    CASE EXTENT2, "movntps %xmm1, (%rax)"
    CASE EXTENT2, "vcvtph2ps (%rax), %xmm1"
    CASE EXTENT2, "vcvtph2ps (%rax), %ymm1"
    CASE EXTENT2, "vcvtps2ph $0, %ymm1, (%rax)"
    CASE EXTENT2, "vcvtps2ph $0, %xmm1, (%rax)"
    CASE EXTENT2, "vcvtps2pd (%rax), %ymm1"
    CASE EXTENT2, "vcvtdq2pd (%rax), %ymm1"
    CASE EXTENT2, "vcvtpd2psy (%rax), %xmm1"
    CASE EXTENT2, "vpmovsxbq (%rax), %ymm1"
    CASE EXTENT2, "vpmovzxwd (%rax), %ymm1"
    CASE EXTENT2, "vpmovsxdq (%rax), %ymm1"
    CASE EXTENT2, "vpbroadcastb (%rax), %ymm1"
    CASE EXTENT2, "vpbroadcastw (%rax), %xmm1"
    CASE EXTENT2, "vpbroadcastq (%rax), %ymm1"
    CASE EXTENT2, "vbroadcasti128 (%rax), %ymm1"
    CASE EXTENT2, "vextractf128 $1, %ymm1, (%rax)"
    CASE EXTENT2, "vpslld (%rax), %ymm2, %ymm1"
    CASE EXTENT2, "vpsllvd (%rax), %ymm2, %ymm1"
    CASE EXTENT2, "vmovddup (%rax), %ymm1"
    CASE EXTENT2, "vmovddup (%rax), %xmm1"
    CASE EXTENT2, "vperm2i128 $1, (%rax), %ymm2, %ymm1"
    CASE EXTENT2, "vpermq $1, (%rax), %ymm1"
    CASE EXTENT2, "vfmadd213sd (%rax), %xmm2, %xmm1"
    CASE EXTENT2, "vfmadd231ps (%rax), %ymm2, %ymm1"
    CASE EXTENT2, "vtestps (%rax), %ymm1"
    CASE EXTENT2, "vmovlhps %xmm1, %xmm2, %xmm3; vmovhps %xmm3, (%rax)"
    CASE EXTENT2, "fisttps (%rax)"
    CASE EXTENT2, "fisttpl (%rax)"
    CASE EXTENT2, "fisttpll (%rax)"
    CASE EXTENT2, "fbstp (%rax)"
    CASE EXTENT2, "fistps (%rax)"
    CASE EXTENT2, "fistpll (%rax)"
    CASE EXTENT2, "fstps (%rax)"
    CASE EXTENT2, "fstpl (%rax)"
    CASE EXTENT2, "fldcw (%rax); fninit"
    CASE EXTENT2, "fiadds (%rax)"
    CASE EXTENT2, "fcoml (%rax)"
    CASE EXTENT2, "bsf (%rax), %bx"
    CASE EXTENT2, "imul $3, (%rax), %rbx"
    CASE EXTENT2, "shldw $3, %bx, (%rax)"
    CASE EXTENT2, "xaddl %ebx, (%rax)"
    CASE EXTENT2, "setc (%rax)"
    CASE EXTENT2, "cmovc (%rax), %rbx"
    CASE EXTENT2, "movsbq (%rax), %rbx"
    CASE EXTENT2, "movslq (%rax), %rbx"
    CASE EXTENT2, "andn (%rax), %rbx, %rcx"
    CASE EXTENT2, "bzhi %ebx, (%rax), %ecx"
    CASE EXTENT2, "mulx (%rax), %rbx, %rcx"
    CASE EXTENT2, "rorx $3, (%rax), %ebx"
    CASE EXTENT2, "adcx (%rax), %rbx"
    CASE EXTENT2, "movbe %bx, (%rax)"
    CASE EXTENT2, "btcw $3, (%rax)"
    CASE EXTENT2, "rclb $1, (%rax)"
    CASE EXTENT2, "mulq (%rax)"
    CASE EXTENT2, "negw (%rax)"
    CASE EXTENT2, "notb (%rax)"
    CASE EXTENT2, "pushw (%rax); popw %bx"
    CASE EXTENT2, "cmpxchgw %bx, (%rax)"
    CASE EXTENT2, "lldt (%rax)"
    CASE EXTENT2, "smsw (%rax)"
    CASE EXTENT2, "lar (%rax), %ebx"
    CASE EXTENT2, "sha1rnds4 $1, (%rax), %xmm1"
    CASE EXTENT2, "gf2p8mulb (%rax), %xmm1"
    CASE EXTENT2, "vaesenc (%rax), %ymm2, %ymm1"
    CASE EXTENT2, "vpclmulqdq $0, (%rax), %ymm2, %ymm1"
    CASE EXTENT5, "vcvtph2ps (%rax), %zmm1"
    CASE EXTENT5, "vcvtps2ph $0, %zmm1, (%rax)"
    CASE EXTENT5, "vcvtps2pd (%rax), %zmm1"
    CASE EXTENT5, "vcvtpd2ps (%rax), %ymm1"
    CASE EXTENT5, "vcvttps2uqq (%rax), %zmm1"
    CASE EXTENT5, "vcvtudq2pd (%rax), %zmm1"
    CASE EXTENT5, "vcvtusi2sdq (%rax), %xmm2, %xmm1"
    CASE EXTENT5, "vcvttsd2usi (%rax), %ebx"
    CASE EXTENT5, "vpmovsxbd (%rax), %zmm1"
    CASE EXTENT5, "vpmovzxbq (%rax), %zmm1"
    CASE EXTENT5, "vpmovsxbw (%rax), %zmm1"
    CASE EXTENT5, "vpmovqb %ymm1, (%rax)"
    CASE EXTENT5, "vpmovswb %zmm1, (%rax)"
    CASE EXTENT5, "vpmovusqd %xmm1, (%rax)"
    CASE EXTENT5, "vbroadcasti32x2 (%rax), %zmm1"
    CASE EXTENT5, "vbroadcasti32x8 (%rax), %zmm1"
    CASE EXTENT5, "vbroadcastf64x2 (%rax), %ymm1"
    CASE EXTENT5, "vbroadcastf64x4 (%rax), %zmm1"
    CASE EXTENT5, "vpbroadcastw (%rax), %zmm1"
    CASE EXTENT5, "vinserti64x2 $1, (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "vinserti32x8 $1, (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "vextracti64x2 $1, %zmm1, (%rax)"
    CASE EXTENT5, "vextracti32x8 $1, %zmm1, (%rax)"
    CASE EXTENT5, "vpslld (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "vpslld $3, (%rax), %zmm1"
    CASE EXTENT5, "vpslld $3, (%rax){1to16}, %zmm1"
    CASE EXTENT5, "vpsraq (%rax), %ymm2, %ymm1"
    CASE EXTENT5, "vprolvd (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "vpermi2b (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "vgetexpss (%rax), %xmm2, %xmm1"
    CASE EXTENT5, "vrndscalesd $1, (%rax), %xmm2, %xmm1"
    CASE EXTENT5, "vfpclassps $1, (%rax){1to16}, %k3"
    CASE EXTENT5, "vfpclasssd $1, (%rax), %k3"
    CASE EXTENT5, "vreducepd $1, (%rax), %zmm1"
    CASE EXTENT5, "vpdpbusd (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "vdbpsadbw $1, (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "vpshufbitqmb (%rax), %zmm2, %k3"
    CASE EXTENT5, "vpmultishiftqb (%rax){1to8}, %zmm2, %zmm1"
    CASE EXTENT5, "vpconflictd (%rax), %zmm1"
    CASE EXTENT5, "vplzcntq (%rax), %ymm1"
    CASE EXTENT5, "vpopcntb (%rax), %zmm1"
    CASE EXTENT5, "vpternlogq $3, (%rax), %xmm2, %xmm1"
    CASE EXTENT5, "vscalefsd (%rax), %xmm2, %xmm1"
    CASE EXTENT5, "vfixupimmpd $1, (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "vmovss (%rax), %xmm1{%k2}"
    CASE EXTENT5, "vmovsd %xmm1, (%rax){%k2}"
    CASE EXTENT5, "vmovddup (%rax), %zmm1"
    CASE EXTENT5, "vmovshdup (%rax), %zmm1"
    CASE EXTENT5, "vshuff32x4 $1, (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "kmovb (%rax), %k3"
    CASE EXTENT5, "kmovw (%rax), %k3"
    CASE EXTENT5, "kmovd (%rax), %k3"
    CASE EXTENT5, "kmovb %k1, (%rax)"
    CASE EXTENT5, "kmovd %k1, (%rax)"
    CASE EXTENT5, "vmovq %xmm21, (%rax)"
    CASE EXTENT5, "vmovd (%rax), %xmm21"
    CASE EXTENT5, "vpinsrb $1, (%rax), %xmm22, %xmm21"
    CASE EXTENT5, "vpextrq $1, %xmm21, (%rax)"
    CASE EXTENT5, "vinsertps $1, (%rax), %xmm22, %xmm21"
    CASE EXTENT5, "vmovlps (%rax), %xmm22, %xmm21"
    CASE EXTENT5, "vmovhpd %xmm21, (%rax)"
    CASE EXTENT5, "vmovntdqa (%rax), %zmm21"
    CASE EXTENT5, "vcomisd (%rax), %xmm21"
    CASE EXTENT5, "valignq $1, (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "vpexpandb (%rax), %zmm1"
    CASE EXTENT5, "vpcompressw %zmm1, (%rax)"
    CASE EXTENT5, "vpexpandq (%rax), %xmm1"
    CASE EXTENT5, "vcompressps %ymm1, (%rax)"
    CASE EXTENT5, "vgf2p8affineqb $1, (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "vaesdec (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "vpclmulqdq $1, (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "vpshldvd (%rax), %zmm2, %zmm1"
    CASE EXTENT5, "vcvtneps2bf16 (%rax), %ymm1"
    CASE EXTENT5, "vdpbf16ps (%rax), %zmm2, %zmm1"

/* ---- alignment checks -------------------------------------------------------------------------- */

    CASE ALIGN, "mov (%rax), %bl"
    CASE ALIGN, "mov (%rax), %bx"
    CASE ALIGN, "mov (%rax), %ebx"
    CASE ALIGN, "mov (%rax), %rbx"
    CASE ALIGN, "mov %bx, (%rax)"
    CASE ALIGN, "mov %ebx, (%rax)"
    CASE ALIGN, "mov %rbx, 64(%rdx)"
    CASE ALIGN, "mov %rbx, %gs:4096"
    CASE ALIGN, "add %ebx, (%rax)"
    CASE ALIGN, "lock; addq $1, (%rax)"
    CASE ALIGN, "xchg %ebx, (%rax)"
    CASE ALIGN, "lock; cmpxchg8b (%rax)"
    CASE ALIGN, "cmpxchg16b (%rax)"
    CASE ALIGN, "movzwl (%rax), %ebx"
    CASE ALIGN, "btq $3, (%rax)"
    CASE ALIGN, "bts %ebx, (%rax)"
    CASE ALIGN, "bts %rbx, (%rax)"
    CASE ALIGN, "push (%rax); pop %rbx"
    CASE ALIGN, "push $0x1234; pop (%rax)"
    CASE ALIGN, "mov %rsp, %r8; mov %rax, %rsp; push %rbx; pop %rcx; mov %r8, %rsp"
    CASE ALIGN, "mov %rax, %rsi; lodsw"
    CASE ALIGN, "mov %rax, %rdi; stosq"
    CASE ALIGN, "mov %rdx, %rdi; mov %rax, %rsi; movsl"
    CASE ALIGN, "mov %rdx, %rdi; mov %rax, %rsi; mov $3, %ecx; rep movsq"
    CASE ALIGN, "mov %rdx, %rdi; mov %rax, %rsi; mov $3, %ecx; repe cmpsw"
    CASE ALIGN, "movnti %rbx, (%rax)"
    CASE ALIGN, "movbe (%rax), %ebx"
    CASE ALIGN, "popcnt (%rax), %rbx"
    CASE ALIGN, "crc32w (%rax), %ebx"
    CASE ALIGN, "pext (%rax), %rbx, %rbx"
    CASE ALIGN, "movd (%rax), %xmm1"
    CASE ALIGN, "movq (%rax), %xmm1"
    CASE ALIGN, "movss (%rax), %xmm1"
    CASE ALIGN, "movsd %xmm1, (%rax)"
    CASE ALIGN, "movhps (%rax), %xmm1"
    CASE ALIGNV, "movups (%rax), %xmm1"
    CASE ALIGNV, "movups %xmm1, (%rax)"
    CASE ALIGNV, "movdqu (%rax), %xmm1"
    CASE ALIGNV, "movdqu %xmm1, (%rax)"
    CASE ALIGNV, "movupd (%rax), %xmm1"
    CASE ALIGNV, "movaps (%rax), %xmm1"
    CASE ALIGNV, "movdqa %xmm1, (%rax)"
    CASE ALIGN, "movntdq %xmm1, (%rax)"
    CASE ALIGNV, "lddqu (%rax), %xmm1"
    CASE ALIGNV, "addps (%rax), %xmm1"
    CASE ALIGNV, "vaddps (%rax), %xmm1, %xmm1"
    CASE ALIGN, "vaddss (%rax), %xmm1, %xmm1"
    CASE ALIGNV, "vmovups (%rax), %xmm1"
    CASE ALIGNV, "vmovups (%rax), %ymm1"
    CASE ALIGNV, "vmovdqu %ymm1, (%rax)"
    CASE ALIGNV, "vpaddd (%rax), %ymm1, %ymm1"
    CASE ALIGN, "vbroadcastss (%rax), %ymm1"
    CASE ALIGN, "vbroadcastsd (%rax), %ymm1"
    CASE ALIGNV, "vbroadcastf128 (%rax), %ymm1"
    CASE ALIGNV, "vinserti128 $1, (%rax), %ymm1, %ymm1"
    CASE ALIGN, "vpmovzxbw (%rax), %xmm1"
    CASE ALIGN, "pmovzxbd (%rax), %xmm1"
    CASE ALIGN, "pinsrw $1, (%rax), %xmm1"
    CASE ALIGN, "pextrd $1, %xmm1, (%rax)"
    CASE ALIGNV, "vpmaskmovd (%rax), %ymm3, %ymm1"
    CASE ALIGNV, "vpmaskmovq %xmm1, %xmm3, (%rax)"
    CASE ALIGNV, "vmaskmovps %ymm1, %ymm3, (%rax)"
    CASE ALIGNV, "vpgatherdd %ymm3, (%rax, %ymm2, 4), %ymm1"
    CASE ALIGNV, "vpgatherqq %ymm3, (%rax, %ymm2, 4), %ymm1"
    CASE ALIGNV, "maskmovdqu %xmm3, %xmm1"
    CASE ALIGNV, "movdq2q %xmm3, %mm3; movdq2q %xmm1, %mm1; maskmovq %mm3, %mm1; emms"
    CASE ALIGN, "movq (%rax), %mm1; emms"
    CASE ALIGN, "movd %mm1, (%rax); emms"
    CASE ALIGN, "paddb (%rax), %mm1; emms"
    CASE ALIGN, "cvtpi2ps (%rax), %xmm1; emms"
    CASE ALIGN, "ldmxcsr (%rdx); stmxcsr (%rax)"
    CASE ALIGN, "flds (%rax); fstp %st(0)"
    CASE ALIGN, "fldl (%rax); fstp %st(0)"
    CASE ALIGN, "fldt (%rax); fstp %st(0)"
    CASE ALIGN, "fld1; fstpt (%rax)"
    CASE ALIGN, "filds (%rax); fstp %st(0)"
    CASE ALIGN, "fildll (%rax); fstp %st(0)"
    CASE ALIGN, "fbld (%rax); fstp %st(0)"
    CASE ALIGN, "fnstcw (%rax)"
    CASE ALIGN, "fnstsw (%rax)"
    CASE ALIGN, "fninit; fnstenv (%rax); SCRUB32 %rax; fninit"
    CASE ALIGN, "fninit; data16 fnstenv (%rax); SCRUB16 %rax; fninit"
    CASE ALIGN, "fninit; fnsave (%rax); SCRUB32 %rax; fninit"
    CASE ALIGN, "fninit; fnsave (%rdx); SCRUB32 %rdx; frstor (%rax); fninit"
    CASE ALIGN, "fxsave (%rax)"
    CASE ALIGN, "clflush (%rax)"
    CASE ALIGN, "prefetcht0 (%rax)"
    CASE ALIGN, "lea (%rax), %rbx"
    CASE ALIGN, "xlat"
    CASE ALIGN, "enter $16, $0; leave"
    CASE ALIGN, "sgdt (%rax); ud2"
    CASE ALIGNV5, "vmovdqu32 (%rax), %zmm1{%k1}"
    CASE ALIGNV5, "vmovdqu64 %zmm1, (%rax)"
    CASE ALIGNV5, "vpaddd (%rax){1to16}, %zmm2, %zmm1"
    CASE ALIGNV5, "vpaddq (%rax), %zmm2, %zmm1"
    CASE ALIGNV5, "vpcompressd %zmm1, (%rax){%k1}"
    CASE ALIGNV5, "vpscatterdd %zmm1, (%rax, %zmm2, 4){%k1}"
    CASE ALIGNV5, "vpmovqb %zmm1, (%rax)"
    CASE ALIGNV5, "vpmovdw %zmm1, (%rax){%k1}"
    CASE ALIGN5, "kmovq (%rax), %k3"

/* ---- in compatibility mode ---------------------------------------------------------------------- */

    CASE32 "vpgatherdd %xmm3, (%eax, %xmm2, 4), %xmm1"
    CASE32 "vpgatherdd %ymm3, 8(%eax, %ymm2, 8), %ymm1"
    CASE32 "vpgatherqq %ymm3, %ss:(%eax, %ymm2, 2), %ymm1"
    CASE32 "vpgatherqd %xmm3, (, %ymm2, 1), %xmm1"
    CASE32 "vgatherdpd %ymm3, (%eax, %xmm2, 4), %ymm1"
    CASE32 "vmaskmovps (%eax), %ymm3, %ymm1"
    CASE32 "vmaskmovps %ymm1, %ymm3, 64(%edx)"
    CASE32 "vpmaskmovq %xmm1, %xmm3, %es:(%eax)"
    CASE32 "movdqu (%eax), %xmm1"
    CASE32 "movdqa %xmm1, (%eax)"
    CASE32 "vpaddd (%eax), %ymm2, %ymm1"
    CASE32 "add %ebx, (%eax)"
    CASE32 "fninit; fld1; fnstenv (%eax); SCRUB32 %eax"
    CASE32 "fninit; fld1; data16 fnsave (%eax); SCRUB16 %eax"
    CASE32 "fninit; fldpi; fnsave (%edx); SCRUB32 %edx; frstor (%edx); fstpt (%eax); fninit"
    CASE32 "fninit; fldpi; data16 fnstenv (%edx); SCRUB16 %edx; data16 fldenv (%edx); fstpt (%eax); fninit"
    CASE32_5 "vpgatherdd (%eax, %zmm2, 4), %zmm1{%k1}"
    CASE32_5 "vpgatherdq -512(%eax, %ymm2, 4), %zmm1{%k1}"
    CASE32_5 "vpscatterdd %zmm1, (%eax, %zmm2, 4){%k1}"
    CASE32_5 "vpscatterqd %ymm1, (%eax, %zmm2, 2){%k1}"
    CASE32_5 "vmovdqu8 %zmm1, (%eax){%k1}"
    CASE32_5 "vmovdqu64 (%eax), %zmm1{%k1}{z}"
    CASE32_5 "vpcompressd %zmm1, 64(%edx){%k1}"
    CASE32_5 "vpaddd (%eax){1to16}, %zmm2, %zmm1{%k1}"

    .section case_table, "a"
    .globl case_table_end
case_table_end:

/* ---- the passage --------------------------------------------------------------------------------
 * void case_run(struct state *state, const void *code): registers from *state, call, and back into it.
 * 32-bit code gets the stack that state->compat_stack points to. `case_resume` is where the signal handler
 * goes on, with rsp = case_rsp. */

    .equ REGS, 0
    .equ FLAGS, 48
    .equ COMPAT_STACK, 56
    .equ OPMASKS, 64
    .equ VECTORS, 128

.macro EACH16 op
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    \op \n
    .endr
.endm
.macro LOAD_Y n
    vmovdqu VECTORS + 64 * \n(%rdi), %ymm\n
.endm
.macro SAVE_Y n
    vmovdqu %ymm\n, VECTORS + 64 * \n(%rdi)
.endm
.macro LOAD_Z n
    vmovdqu64 VECTORS + 64 * \n(%rdi), %zmm\n
.endm
.macro SAVE_Z n
    vmovdqu64 %zmm\n, VECTORS + 64 * \n(%rdi)
.endm
.macro EACH_ZMM op
    EACH16 \op
    .irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    \op \n
    .endr
.endm

    .text
    .globl case_run, case_resume
case_run:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    sub $24, %rsp
    mov %rdi, (%rsp)
    mov %rsi, 8(%rsp)
    mov %rsp, case_rsp(%rip)
    cmpl $0, case_avx512(%rip)
    je 1f
    EACH_ZMM LOAD_Z
    .irp n, 1,2,3,4,5,6,7
    kmovq OPMASKS + 8 * \n(%rdi), %k\n
    .endr
    jmp 2f
1:  EACH16 LOAD_Y
2:  mov %rsi, %r12
    mov %rdi, %r13
    mov REGS(%r13), %rax
    mov REGS + 8(%r13), %rbx
    mov REGS + 16(%r13), %rcx
    mov REGS + 24(%r13), %rdx
    mov REGS + 32(%r13), %rsi
    mov REGS + 40(%r13), %rdi
    pushq FLAGS(%r13)
    popfq
    mov COMPAT_STACK(%r13), %r13
    test %r13, %r13
    jnz 3f
    call *%r12
    jmp case_resume
3:  mov $0x2b, %r8d /* Linux' segment for user data; null selectors fault in 32-bit code */
    mov %r8d, %ds
    mov %r8d, %es
    mov %r13, %rsp
    movl %r12d, -8(%rsp)
    movl $0x23, -4(%rsp) /* Linux' segment for 32-bit user code */
    sub $16, %rsp
    lcall *8(%rsp)
case_resume:
    pushfq
    andl $~0x40000, (%rsp)
    popfq
    mov case_rsp(%rip), %rsp
    mov (%rsp), %r13
    mov %rax, REGS(%r13)
    mov %rbx, REGS + 8(%r13)
    mov %rcx, REGS + 16(%r13)
    mov %rdx, REGS + 24(%r13)
    mov %rsi, REGS + 32(%r13)
    mov %rdi, REGS + 40(%r13)
    mov %r13, %rdi
    cmpl $0, case_avx512(%rip)
    je 1f
    EACH_ZMM SAVE_Z
    .irp n, 1,2,3,4,5,6,7
    kmovq %k\n, OPMASKS + 8 * \n(%rdi)
    .endr
    jmp 2f
1:  EACH16 SAVE_Y
2:  vzeroupper
    add $24, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

    .bss
    .balign 8
    .globl case_rsp, case_avx512
case_rsp:
    .quad 0
case_avx512:
    .long 0
    .section .note.GNU-stack, "", @progbits
