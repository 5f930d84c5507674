/* SPDX-License-Identifier: MIT */
/* sizeclass.c - the table of size classes.
 *
 * Spans take more than one unit where that leaves less slack.
 */
#include "gc/sizeclass.h"

#define CELLS(size, units) ((units) * WF_UNIT / (size))
#define SLACK(size, units) ((units) * WF_UNIT % (size) != 0)
#define CLASS(size, units) \
    {(size), ((1u << WF_MAGIC_SHIFT) + (size) / WF_GRAIN - 1) / ((size) / WF_GRAIN), CELLS(size, units), (units), \
     (CELLS(size, units) + SLACK(size, units) + WF_LINE - 1) / WF_LINE}

const struct wf_sizeclass wf_sizeclasses[WF_CLASS_COUNT] = {
    CLASS(16, 1), CLASS(32, 1), CLASS(48, 1), CLASS(64, 1),
    CLASS(80, 1), CLASS(96, 1), CLASS(112, 1), CLASS(128, 1),
    CLASS(144, 1), CLASS(160, 1), CLASS(176, 1), CLASS(192, 1),
    CLASS(208, 1), CLASS(224, 1), CLASS(240, 1), CLASS(256, 1),
    CLASS(288, 1), CLASS(320, 1), CLASS(352, 1), CLASS(384, 1),
    CLASS(416, 1), CLASS(448, 1), CLASS(480, 1), CLASS(512, 1),
    CLASS(576, 1), CLASS(640, 1), CLASS(704, 1), CLASS(768, 1),
    CLASS(832, 1), CLASS(896, 1), CLASS(960, 1), CLASS(1024, 1),
    CLASS(1280, 1), CLASS(1536, 1), CLASS(1792, 1), CLASS(2048, 1),
    CLASS(2560, 1), CLASS(3072, 1), CLASS(3584, 1), CLASS(4096, 1),
    CLASS(5120, 2), CLASS(6144, 3), CLASS(7168, 1), CLASS(8192, 1),
    CLASS(10240, 3), CLASS(12288, 3), CLASS(14336, 2), CLASS(16384, 1),
    CLASS(20480, 1), CLASS(24576, 3), CLASS(28672, 4), CLASS(32768, 1),
};

const uint8_t wf_class_of_grains[1024 / WF_GRAIN + 1] = {
    /* 0: */ 0,
    /* 1: */ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    /* 17: */ 16, 16, 17, 17, 18, 18, 19, 19, 20, 20, 21, 21, 22, 22, 23, 23,
    /* 33: */ 24, 24, 24, 24, 25, 25, 25, 25, 26, 26, 26, 26, 27, 27, 27, 27,
    /* 49: */ 28, 28, 28, 28, 29, 29, 29, 29, 30, 30, 30, 30, 31, 31, 31, 31,
};
