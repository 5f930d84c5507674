/* SPDX-License-Identifier: MIT */
/* capture.S - the thunks behind weft_go, weft_try and weft_await, System V x86-64.
 *
 * The caller believes it calls a function of fn's own type; r10 (the static chain) points to its struct weft__go. A
 * thunk therefore finds every argument where the ABI puts it.
 */
#include "arch/x86_64/offsets.h"

    .text

#define PROC(name) .globl name; .hidden name; .type name, @function; .p2align 5; name: .cfi_startproc; endbr64
#define END(name) .cfi_endproc; .size name, . - name

/* Stores the argument registers at at(%rsp); the stack words begin at 16(%rbp). */
#define STORE_ARGUMENTS(at) \
    movq %rdi, at+0(%rsp); \
    movq %rsi, at+8(%rsp); \
    movq %rdx, at+16(%rsp); \
    movq %rcx, at+24(%rsp); \
    movq %r8, at+32(%rsp); \
    movq %r9, at+40(%rsp); \
    movq %rax, at+WF_CAPTURED_RAX(%rsp); \
    leaq 16(%rbp), %rax; \
    movq %rax, at+WF_CAPTURED_WORDS(%rsp); \
    movaps %xmm0, at+WF_CAPTURED_VECTORS+0(%rsp); \
    movaps %xmm1, at+WF_CAPTURED_VECTORS+16(%rsp); \
    movaps %xmm2, at+WF_CAPTURED_VECTORS+32(%rsp); \
    movaps %xmm3, at+WF_CAPTURED_VECTORS+48(%rsp); \
    movaps %xmm4, at+WF_CAPTURED_VECTORS+64(%rsp); \
    movaps %xmm5, at+WF_CAPTURED_VECTORS+80(%rsp); \
    movaps %xmm6, at+WF_CAPTURED_VECTORS+96(%rsp); \
    movaps %xmm7, at+WF_CAPTURED_VECTORS+112(%rsp)

/* Hands the captured call to wf_capture_call(struct wf_captured *, struct weft__go *). */
PROC(wf_capture_thunk)
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    subq $WF_CAPTURED_SIZE, %rsp
    STORE_ARGUMENTS(0)
    movq %rsp, %rdi
    movq %r10, %rsi
    call wf_capture_call
    leave
    .cfi_def_cfa %rsp, 8
    ret
END(wf_capture_thunk)

/* The same for generators: wf_coro_capture(struct wf_captured *, struct weft__go *). */
PROC(wf_coro_capture_thunk)
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    subq $WF_CAPTURED_SIZE, %rsp
    STORE_ARGUMENTS(0)
    movq %rsp, %rdi
    movq %r10, %rsi
    call wf_coro_capture
    leave
    .cfi_def_cfa %rsp, 8
    ret
END(wf_coro_capture_thunk)

/* void wf_captured_call(const struct wf_captured *rdi, void (*fn)(void) rsi, uint64_t n_words rdx) */
PROC(wf_captured_call)
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    movq %rdi, %r10
    movq %rsi, %r11
    movq WF_CAPTURED_WORDS(%r10), %rsi
    leaq 1(%rdx), %rcx                  /* rounded up to 16 bytes */
    andq $-2, %rcx
    shlq $3, %rcx
    subq %rcx, %rsp
    testq %rdx, %rdx
    jz .Lcall_registers
.Lcall_word:
    movq -8(%rsi,%rdx,8), %rax
    movq %rax, -8(%rsp,%rdx,8)
    decq %rdx
    jnz .Lcall_word
.Lcall_registers:
    movaps WF_CAPTURED_VECTORS+0(%r10), %xmm0
    movaps WF_CAPTURED_VECTORS+16(%r10), %xmm1
    movaps WF_CAPTURED_VECTORS+32(%r10), %xmm2
    movaps WF_CAPTURED_VECTORS+48(%r10), %xmm3
    movaps WF_CAPTURED_VECTORS+64(%r10), %xmm4
    movaps WF_CAPTURED_VECTORS+80(%r10), %xmm5
    movaps WF_CAPTURED_VECTORS+96(%r10), %xmm6
    movaps WF_CAPTURED_VECTORS+112(%r10), %xmm7
    movq 0(%r10), %rdi
    movq 8(%r10), %rsi
    movq 16(%r10), %rdx
    movq 24(%r10), %rcx
    movq 32(%r10), %r8
    movq 40(%r10), %r9
    movq WF_CAPTURED_RAX(%r10), %rax
    call *%r11
    leave
    .cfi_def_cfa %rsp, 8
    ret
END(wf_captured_call)

/* Calls go->fn with the same arguments under a struct wf_try; go->result becomes 0 or WEFT_EPANIC.
 * Frame below rbp: rbx r12 r13 r14 r15 pad(8), struct wf_try, struct wf_captured. */
#define SAVED 48
PROC(wf_try_thunk)
    .cfi_personality 0x1b, wf_try_personality /* pc-relative, 4 bytes */
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    pushq %rbx
    .cfi_offset %rbx, -24
    pushq %r12
    .cfi_offset %r12, -32
    pushq %r13
    .cfi_offset %r13, -40
    pushq %r14
    .cfi_offset %r14, -48
    pushq %r15
    .cfi_offset %r15, -56
    subq $(8 + WF_TRY_SIZE + WF_CAPTURED_SIZE), %rsp
    STORE_ARGUMENTS(0)
    movq %r10, %rbx
    leaq WF_CAPTURED_SIZE(%rsp), %r12
    movq %rbp, WF_TRY_FRAME(%r12)
    movq %r10, WF_TRY_GO(%r12)
    movq %r12, %rdi
    call wf_try_enter
    movq %rsp, %r14
    movzbl WF_GO_WORDS(%rbx), %r13d
    testl %r13d, %r13d
    jz .Ltry_registers
    leaq 1(%r13), %rcx
    andq $-2, %rcx
    shlq $3, %rcx
    subq %rcx, %rsp
.Ltry_word:
    movq 8(%rbp,%r13,8), %rax           /* word n-1 of those that begin at 16(%rbp) */
    movq %rax, -8(%rsp,%r13,8)
    decq %r13
    jnz .Ltry_word
.Ltry_registers:
    movaps WF_CAPTURED_VECTORS+0(%r14), %xmm0
    movaps WF_CAPTURED_VECTORS+16(%r14), %xmm1
    movaps WF_CAPTURED_VECTORS+32(%r14), %xmm2
    movaps WF_CAPTURED_VECTORS+48(%r14), %xmm3
    movaps WF_CAPTURED_VECTORS+64(%r14), %xmm4
    movaps WF_CAPTURED_VECTORS+80(%r14), %xmm5
    movaps WF_CAPTURED_VECTORS+96(%r14), %xmm6
    movaps WF_CAPTURED_VECTORS+112(%r14), %xmm7
    movq 0(%r14), %rdi
    movq 8(%r14), %rsi
    movq 16(%r14), %rdx
    movq 24(%r14), %rcx
    movq 32(%r14), %r8
    movq 40(%r14), %r9
    movq WF_CAPTURED_RAX(%r14), %rax
    call *WF_GO_FN(%rbx)
    fxam                                /* a value that nobody wants must not stay on the x87 stack */
    fnstsw %ax
    andl $0x4500, %eax
    cmpl $0x4100, %eax
    je .Ltry_leave
    fstp %st(0)
.Ltry_leave:
    movq %r12, %rdi
    call wf_try_leave
    movl $0, WF_GO_RESULT(%rbx)
.Ltry_done:
    leaq -40(%rbp), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    .cfi_def_cfa %rsp, 8
    ret
END(wf_try_thunk)

/* void wf_try_resume(struct wf_try *record rdi): back in the thunk's frame. */
PROC(wf_try_resume)
    .cfi_undefined %rip
    movq WF_TRY_FRAME(%rdi), %rbp
    movq WF_TRY_GO(%rdi), %rax
    movl $WF_EPANIC_VALUE, WF_GO_RESULT(%rax)
    jmp .Ltry_done
END(wf_try_resume)

/* T weft_await(struct weft__future *rdi): the value in the registers that T comes back in. The wait is a tail call, so
 * the thunk's is the only frame between the switch and the user. */
PROC(wf_await_thunk)
    pushq %rbx
    .cfi_def_cfa_offset 16
    .cfi_offset %rbx, -16
    movq %rdi, %rbx
    testq %rdi, %rdi
    jz .Lwait
    cmpb $0, WF_FUTURE_STATE(%rdi)
    jnz .Lsettled
.Lwait:
    call wf_future_join
    testl %eax, %eax
    jnz .Linterrupted
.Lsettled:
    cmpb $WF_FUTURE_STATE_PANICKED, WF_FUTURE_STATE(%rbx)
    jae .Lraise
    movq %rbx, %rdi
    popq %rbx
    .cfi_def_cfa_offset 8
    .cfi_restore %rbx
.Lvalue:
    cmpb $0, WF_FUTURE_X87(%rdi)
    jnz .Lx87
    movq WF_FUTURE_VALUE+0(%rdi), %rax
    movq WF_FUTURE_VALUE+8(%rdi), %rdx
    movups WF_FUTURE_VALUE+16(%rdi), %xmm0
    movups WF_FUTURE_VALUE+32(%rdi), %xmm1
    ret
.Lx87:
    fldt WF_FUTURE_VALUE(%rdi)
    ret
.Lraise:
    .cfi_def_cfa_offset 16
    .cfi_offset %rbx, -16
    movq %rbx, %rdi
    call wf_future_raise
    ud2
.Linterrupted:
    movl %eax, %edi
    call wf_future_interrupted
    ud2
END(wf_await_thunk)

/* T f(struct weft__future *rdi): the value of a future that has settled. */
PROC(wf_value_thunk)
    jmp .Lvalue
END(wf_value_thunk)

/* void weft_resolve(T value, int x 6, double x 8), r10: struct weft__resolve *. A value of at most 16 bytes is passed in
 * the registers of its class in the same order in which it is returned: rdi, rsi for rax, rdx, and xmm0, xmm1. The
 * exception are long double and what contains nothing else: passed on the stack, returned in st(0). That is the case if
 * the value took no register, so that the last int and the last double, which are 1, came in the last registers. */
PROC(wf_resolve_thunk)
    subq $(WF_RESULT_SIZE + 8), %rsp
    .cfi_def_cfa_offset WF_RESULT_SIZE + 16
    movq %rdi, 0(%rsp)
    movq %rsi, 8(%rsp)
    movups %xmm0, WF_RESULT_VECTORS(%rsp)
    movups %xmm1, WF_RESULT_VECTORS+16(%rsp)
    movq $0, WF_RESULT_HAS_X87(%rsp)
    cmpl $16, WF_RESOLVE_SIZE(%r10)
    jne .Lresolve
    cmpl $1, %r9d
    jne .Lresolve
    movq %xmm7, %rax
    testq %rax, %rax
    jz .Lresolve
    fldt WF_RESULT_SIZE+16(%rsp)
    fstpt WF_RESULT_X87(%rsp)
    movq $1, WF_RESULT_HAS_X87(%rsp)
.Lresolve:
    movq %r10, %rdi
    movq %rsp, %rsi
    call wf_promise_resolve
    addq $(WF_RESULT_SIZE + 8), %rsp
    .cfi_def_cfa_offset 8
    ret
END(wf_resolve_thunk)

    .section .note.GNU-stack, "", @progbits
