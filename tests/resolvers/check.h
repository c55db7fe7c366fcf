// What the programs of this folder share.
#ifndef CHECK_H
#define CHECK_H
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("%s:%d: " #condition "\n", __FILE__, __LINE__); \
            exit(9); \
        } \
    } while (0)

#endif
