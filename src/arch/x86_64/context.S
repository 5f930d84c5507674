/* SPDX-License-Identifier: MIT */
/* context.S - the switch and the first entry of a routine, System V x86-64. See arch/context.h.
 *
 * Frame of a parked routine, from its sp upwards: r15 r14 r13 r12 rbx rbp, return address. mxcsr and the x87 control
 * word are not switched. `ret` keeps the processor's return stack balanced.
 */
#include "arch/x86_64/offsets.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WF_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WF_SANITIZED 1
#endif
#endif
#ifndef WF_SANITIZED
#define WF_SANITIZED 0
#endif

    .text

#define PROC(name) .globl name; .hidden name; .type name, @function; .p2align 5; name: .cfi_startproc; endbr64
#define END(name) .cfi_endproc; .size name, . - name

#define SAVE_REGISTERS \
    pushq %rbp; .cfi_adjust_cfa_offset 8; .cfi_rel_offset %rbp, 0; \
    pushq %rbx; .cfi_adjust_cfa_offset 8; .cfi_rel_offset %rbx, 0; \
    pushq %r12; .cfi_adjust_cfa_offset 8; .cfi_rel_offset %r12, 0; \
    pushq %r13; .cfi_adjust_cfa_offset 8; .cfi_rel_offset %r13, 0; \
    pushq %r14; .cfi_adjust_cfa_offset 8; .cfi_rel_offset %r14, 0; \
    pushq %r15; .cfi_adjust_cfa_offset 8; .cfi_rel_offset %r15, 0
/* errno belongs to the routine: kept in its descriptor while it is off the CPU. */
#define SAVE_ERRNO(from, thread) \
    movq WF_THREAD_ERRNO(thread), %r9; \
    movl (%r9), %r10d; \
    movl %r10d, WF_ROUTINE_ERRNO(from)
#define LOAD_ERRNO(to, thread) \
    movq WF_THREAD_ERRNO(thread), %r9; \
    movl WF_ROUTINE_ERRNO(to), %r10d; \
    movl %r10d, (%r9)
#define RESTORE_REGISTERS \
    popq %r15; .cfi_adjust_cfa_offset -8; .cfi_restore %r15; \
    popq %r14; .cfi_adjust_cfa_offset -8; .cfi_restore %r14; \
    popq %r13; .cfi_adjust_cfa_offset -8; .cfi_restore %r13; \
    popq %r12; .cfi_adjust_cfa_offset -8; .cfi_restore %r12; \
    popq %rbx; .cfi_adjust_cfa_offset -8; .cfi_restore %rbx; \
    popq %rbp; .cfi_adjust_cfa_offset -8; .cfi_restore %rbp

/* int wf_switch(from rdi, to rsi, thread rdx, commit rcx, value r8d) */
PROC(wf_switch)
    SAVE_REGISTERS
    SAVE_ERRNO(%rdi, %rdx)
    movq %rsp, WF_ROUTINE_SP(%rdi)
    movq WF_ROUTINE_SP(%rsi), %rsp
    movl %r8d, (%rcx)                   /* commit: the total store order makes it a release */
    movl WF_ROUTINE_RET(%rsi), %eax
    LOAD_ERRNO(%rsi, %rdx)
    movl $0, WF_THREAD_IN_RT(%rdx)
    RESTORE_REGISTERS
    ret
END(wf_switch)

/* int wf_switch_call(from rdi, to rsi, thread rdx, commit rcx, arg r8) */
PROC(wf_switch_call)
    SAVE_REGISTERS
    SAVE_ERRNO(%rdi, %rdx)
    movq %rsp, WF_ROUTINE_SP(%rdi)
    movq WF_ROUTINE_SP(%rsi), %rsp
    movq %rsi, %rbx
    movq %rdx, %r12
    movq %r8, %rdi
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    call *%rcx
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    movl WF_ROUTINE_RET(%rbx), %eax
    LOAD_ERRNO(%rbx, %r12)
    movl $0, WF_THREAD_IN_RT(%r12)
    RESTORE_REGISTERS
    ret
END(wf_switch_call)

/* void wf_switch_away(to rdi, thread rsi) */
PROC(wf_switch_away)
    movq WF_ROUTINE_SP(%rdi), %rsp
    movl WF_ROUTINE_RET(%rdi), %eax
    LOAD_ERRNO(%rdi, %rsi)
    movl $0, WF_THREAD_IN_RT(%rsi)
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
END(wf_switch_away)

/* void wf_switch_start(fresh rdi, thread rsi, top rdx, fn rcx, words r8, n_words r9) */
PROC(wf_switch_start)
    .cfi_undefined %rip
    leaq -16(%rdx), %rsp
    movq $0, (%rsp)
    movq %rdi, %rbx
    movq %rcx, %r12
    movq %r9, %r13
    movq %r8, %r14
    movq WF_THREAD_ERRNO(%rsi), %r9
    movl $0, (%r9)
    movl $0, WF_THREAD_IN_RT(%rsi)
    jmp .Lentry
END(wf_switch_start)

/* Entered by a switch's ret: rbx the routine, r12 its function, r13 number of stack words, r14 the words; rsp is
 * 16-byte aligned and holds a null return address, which ends every stack walk. */
PROC(wf_entry)
    .cfi_undefined %rip
.Lentry:
    xorl %ebp, %ebp
#if WF_SANITIZED
    /* As if inside the runtime: nobody may be stopped there, out of the range that [W4] in sched/world.c refuses. */
    movq wf_thread_tls@gottpoff(%rip), %rax
    movq %fs:(%rax), %rax
    movl $1, WF_THREAD_IN_RT(%rax)
    call wf_sanitizer_entered
    movq wf_thread_tls@gottpoff(%rip), %rax
    movq %fs:(%rax), %rax
    movl $0, WF_THREAD_IN_RT(%rax)
#endif
    testq %r13, %r13
    jz .Lregisters
    leaq 1(%r13), %rcx                  /* rounded up to 16 bytes */
    andq $-2, %rcx
    shlq $3, %rcx
    subq %rcx, %rsp
.Lword:
    movq -8(%r14,%r13,8), %rax
    movq %rax, -8(%rsp,%r13,8)
    decq %r13
    jnz .Lword
.Lregisters:
    movl WF_ROUTINE_FLAGS(%rbx), %eax
    shrl $WF_FLAG_VECTORS_SHIFT, %eax
    andl $15, %eax
    jz .Lintegers
    cmpl $4, %eax
    jbe .Lfour
    movaps WF_ROUTINE_VECTORS+64(%rbx), %xmm4
    movaps WF_ROUTINE_VECTORS+80(%rbx), %xmm5
    movaps WF_ROUTINE_VECTORS+96(%rbx), %xmm6
    movaps WF_ROUTINE_VECTORS+112(%rbx), %xmm7
.Lfour:
    movaps WF_ROUTINE_VECTORS+0(%rbx), %xmm0
    movaps WF_ROUTINE_VECTORS+16(%rbx), %xmm1
    movaps WF_ROUTINE_VECTORS+32(%rbx), %xmm2
    movaps WF_ROUTINE_VECTORS+48(%rbx), %xmm3
.Lintegers:
    movq WF_ROUTINE_INTEGERS+0(%rbx), %rdi
    movq WF_ROUTINE_INTEGERS+8(%rbx), %rsi
    movq WF_ROUTINE_INTEGERS+16(%rbx), %rdx
    movq WF_ROUTINE_INTEGERS+24(%rbx), %rcx
    movq WF_ROUTINE_INTEGERS+32(%rbx), %r8
    movq WF_ROUTINE_INTEGERS+40(%rbx), %r9
    movq $0, WF_ROUTINE_TRY_TOP(%rbx)   /* from here on the routine's wait part is in use */
    movq $0, WF_ROUTINE_CORO(%rbx)
    movl $8, %eax                       /* for variadic functions: an upper bound of the vector registers in use */
    call *%r12
    subq $WF_RESULT_SIZE, %rsp
    movq %rax, 0(%rsp)
    movq %rdx, 8(%rsp)
    movups %xmm0, WF_RESULT_VECTORS(%rsp)
    movups %xmm1, WF_RESULT_VECTORS+16(%rsp)
    movq $0, WF_RESULT_HAS_X87(%rsp)
    testl $WF_FLAG_RESULT_X87, WF_ROUTINE_FLAGS(%rbx)
    jz .Lfinish
    fxam                                /* C3 C2 C0 = 1 0 1: st(0) is empty */
    fnstsw %ax
    andl $0x4500, %eax
    cmpl $0x4100, %eax
    je .Lfinish
    fstpt WF_RESULT_X87(%rsp)
    movq $1, WF_RESULT_HAS_X87(%rsp)
.Lfinish:
    movq %rsp, %rdi
    call wf_routine_return
    ud2
    .globl wf_entry_end
    .hidden wf_entry_end
wf_entry_end:
END(wf_entry)

/* ---- coroutines: arch/coro.h ----
 * The two ends of a coroutine's switch are different places of the program, so a `ret` here would always be predicted to
 * go back to where the call came from: with a jump, whose target is learnt, a round trip takes half the time. One copy for each way,
 * for each has one target as a rule. */

#define SWITCH_STACKS(save, load) \
    SAVE_REGISTERS; \
    movq %rsp, (save); \
    movq load, %rsp; \
    RESTORE_REGISTERS

#define JUMP_BACK \
    popq %rcx; .cfi_adjust_cfa_offset -8; .cfi_register %rip, %rcx; \
    jmp *%rcx

/* int wf_coro_enter(void **save rdi, void *load rsi, void *value rdx) */
PROC(wf_coro_enter)
    SWITCH_STACKS(%rdi, %rsi)
    movq %rdx, %rax
    JUMP_BACK
END(wf_coro_enter)

/* void *wf_coro_leave(void **save rdi, void *load rsi, int value edx) */
PROC(wf_coro_leave)
    SWITCH_STACKS(%rdi, %rsi)
    movl %edx, %eax
    JUMP_BACK
END(wf_coro_leave)

/* int wf_coro_enter_call(void **save rdi, void *load rsi, void (*fn)(void) rdx), void wf_coro_leave_call(the same): the
 * return address that stays on the stack is that of the call which the stack's owner is in, so fn looks as if called
 * there. */
PROC(wf_coro_enter_call)
    .globl wf_coro_leave_call
    .hidden wf_coro_leave_call
    .type wf_coro_leave_call, @function
wf_coro_leave_call:
    SWITCH_STACKS(%rdi, %rsi)
    jmp *%rdx
END(wf_coro_enter_call)

/* Entered by a switch: rbx the argument, r12 the function; rsp is 16-byte aligned and holds a null return address. */
PROC(wf_coro_entry)
    .cfi_undefined %rip
    xorl %ebp, %ebp
    movq %rbx, %rdi
    call *%r12
    ud2
END(wf_coro_entry)

    .section .note.GNU-stack, "", @progbits
