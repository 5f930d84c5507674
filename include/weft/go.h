/* SPDX-License-Identifier: MIT */
/* weft/go.h - the Go-like names: each a plain alias of the weft_ name in weft/routine.h, chan.h, select.h or panic.h.
 *
 * There is none for weft_select: <sys/select.h> keeps working before and after this header.
 */
#ifndef WEFT_GO_H
#define WEFT_GO_H

#include <weft/chan.h>
#include <weft/panic.h>
#include <weft/routine.h>
#include <weft/select.h>

#define go(...) weft_go(__VA_ARGS__)
#define defer(...) weft_defer(__VA_ARGS__)

#define chan(T) weft_chan(T)
#define chan_make(T, n) weft_chan_make(T, n)
#define chan_send(c, ...) weft_chan_send(c, __VA_ARGS__)
#define chan_recv(c, out) weft_chan_recv(c, out)
#define chan_try_send(c, ...) weft_chan_try_send(c, __VA_ARGS__)
#define chan_try_recv(c, out) weft_chan_try_recv(c, out)
#define chan_close(c) weft_chan_close(c)
#define chan_len(c) weft_chan_len(c)
#define chan_cap(c) weft_chan_cap(c)
#define chan_each(T, var, c) weft_chan_each(T, var, c)

#define on_recv(...) weft_on_recv(__VA_ARGS__)
#define on_send(...) weft_on_send(__VA_ARGS__)
#define on_send_from(...) weft_on_send_from(__VA_ARGS__)
#define after(d) weft_after(d)
#define otherwise weft_otherwise

#endif
