/* SPDX-License-Identifier: MIT */
/* weft/zh.h - the Chinese names: each a plain alias of the weft_ name in weft/routine.h, chan.h, select.h or panic.h. */
#ifndef WEFT_ZH_H
#define WEFT_ZH_H

#include <weft/chan.h>
#include <weft/panic.h>
#include <weft/routine.h>
#include <weft/select.h>

#define 启动(...) weft_go(__VA_ARGS__)
#define 让出() weft_yield()
#define 延后(...) weft_defer(__VA_ARGS__)

#define 通道(T) weft_chan(T)
#define 新建通道(T, n) weft_chan_make(T, n)
#define 发送(c, ...) weft_chan_send(c, __VA_ARGS__)
#define 接收(c, out) weft_chan_recv(c, out)
#define 试发送(c, ...) weft_chan_try_send(c, __VA_ARGS__)
#define 试接收(c, out) weft_chan_try_recv(c, out)
#define 关闭(c) weft_chan_close(c)
#define 通道长度(c) weft_chan_len(c)
#define 通道容量(c) weft_chan_cap(c)
#define 逐个接收(T, var, c) weft_chan_each(T, var, c)

#define 收到时(...) weft_on_recv(__VA_ARGS__)
#define 发出时(...) weft_on_send(__VA_ARGS__)
#define 取值发出时(...) weft_on_send_from(__VA_ARGS__)
#define 超时(d) weft_after(d)
#define 否则 weft_otherwise

#endif
