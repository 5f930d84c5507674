/* SPDX-License-Identifier: MIT */
/* A lower room that includes a higher one: tests/layers must object. */
#include "sched/high.h"
