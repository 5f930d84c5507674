/* SPDX-License-Identifier: MIT */
#ifndef WEFT_TIME_H
#define WEFT_TIME_H
#include <stdint.h>
#include <weft/routine.h>
typedef int64_t weft_duration;
typedef int64_t weft_time;
#define WEFT_NS 1ll
#define WEFT_US 1000ll
#define WEFT_MS 1000000ll
#define WEFT_SEC 1000000000ll
#define WEFT_MIN 60000000000ll
#define WEFT_HOUR 3600000000000ll
#ifdef __cplusplus
extern "C" {
#endif
WEFT_API int weft_sleep(weft_duration d);
WEFT_API weft_time weft_now(void);
#ifdef __cplusplus
}
#endif
#endif
