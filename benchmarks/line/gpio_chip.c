/* A GPIO chip for tests and benchmarks, put before the system's calls by LD_PRELOAD, so that libgpiod and its bindings run as they are.

   PROCTOR_GPIO_CHIP is the path of the device, a plain file, and PROCTOR_GPIO_SOCKET that of whoever plays the
   chip. A request for lines is a connection to that, and its descriptor the connection itself: edges and levels go
   through it, and its other side sees when it is closed. All structures are the kernel's own, linux/gpio.h. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/gpio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MAJOR = 254, GPIO_TYPE = 0xB4, MOST_DESCRIPTORS = 1024 };

static struct gpio_v2_line_request held[MOST_DESCRIPTORS]; /* by descriptor */

struct asked { char what; char padding[7]; __u64 time_ns, bits, mask; __u32 offset, unused; };

static int is_chip(const char *path)
{
    const char *chip = getenv("PROCTOR_GPIO_CHIP");
    return chip && path && strcmp(chip, path) == 0;
}

static int as_device(struct stat *found)
{
    memset(found, 0, sizeof *found);
    found->st_mode = S_IFCHR | 0600;
    found->st_rdev = makedev(MAJOR, 0);
    return 0;
}

#define STAT(name)                                                            \
    int name(const char *path, struct stat *found)                           \
    {                                                                         \
        int (*real)(const char *, struct stat *) = dlsym(RTLD_NEXT, #name);   \
        return is_chip(path) ? as_device(found) : real(path, found);          \
    }
#define XSTAT(name)                                                           \
    int name(int version, const char *path, struct stat *found)              \
    {                                                                         \
        int (*real)(int, const char *, struct stat *) = dlsym(RTLD_NEXT, #name); \
        return is_chip(path) ? as_device(found) : real(version, path, found); \
    }
STAT(stat)
STAT(lstat)
XSTAT(__xstat)
XSTAT(__lxstat)

char *realpath(const char *restrict path, char *restrict resolved)
{
    char *(*real)(const char *, char *) = dlsym(RTLD_NEXT, "realpath");
    if (strcmp(path, "/sys/dev/char/254:0/subsystem") != 0)
        return real(path, resolved);
    return resolved ? strcpy(resolved, "/sys/bus/gpio") : strdup("/sys/bus/gpio");
}

static int connected(void)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    int line = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    strncpy(where.sun_path, getenv("PROCTOR_GPIO_SOCKET"), sizeof where.sun_path - 1);
    if (line >= 0 && connect(line, (struct sockaddr *)&where, sizeof where) == 0)
        return line;
    if (line >= 0)
        close(line);
    errno = ENODEV;
    return -1;
}

static int failed(int line, int reason)
{
    if (line >= 0)
        close(line);
    errno = reason;
    return -1;
}

static int information(struct gpio_v2_line_info *info)
{
    struct asked asked = {.what = 'I', .offset = info->offset};
    int line = connected();
    if (line < 0)
        return -1;
    if (send(line, &asked, sizeof asked, MSG_NOSIGNAL) < 0 || recv(line, info, sizeof *info, 0) != sizeof *info)
        return failed(line, EINVAL);
    close(line);
    return 0;
}

static int request(struct gpio_v2_line_request *lines)
{
    __s32 answer = ENODEV;
    int line = connected();
    if (line < 0)
        return -1;
    if (send(line, lines, sizeof *lines, MSG_NOSIGNAL) < 0 || recv(line, &answer, sizeof answer, 0) != sizeof answer)
        return failed(line, ENODEV);
    if (answer)
        return failed(line, answer);
    lines->fd = line;
    if (line < MOST_DESCRIPTORS)
        held[line] = *lines;
    return 0;
}

static int set_values(int line, const struct gpio_v2_line_values *values)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct asked asked = {.what = 'S', .time_ns = now.tv_sec * 1000000000ull + now.tv_nsec,
                          .bits = values->bits, .mask = values->mask};
    if (send(line, &asked, sizeof asked, MSG_NOSIGNAL) < 0)
        return failed(-1, ENODEV);
    return 0;
}

static __u64 flags_of(const struct gpio_v2_line_request *lines, unsigned at)
{
    for (unsigned n = 0; n < lines->config.num_attrs; n++) {
        const struct gpio_v2_line_config_attribute *each = &lines->config.attrs[n];
        if (each->attr.id == GPIO_V2_LINE_ATTR_ID_FLAGS && each->mask >> at & 1)
            return each->attr.flags;
    }
    return lines->config.flags;
}

static int get_values(const struct gpio_v2_line_request *lines, struct gpio_v2_line_values *values)
{
    struct asked asked = {.what = 'G'};
    __u64 levels = 0;
    int line = connected();
    if (line < 0)
        return -1;
    if (send(line, &asked, sizeof asked, MSG_NOSIGNAL) < 0 || recv(line, &levels, sizeof levels, 0) != sizeof levels)
        return failed(line, ENODEV);
    close(line);
    values->bits = 0;
    for (unsigned at = 0; at < lines->num_lines; at++) {
        int active = (levels >> lines->offsets[at] & 1) ^ !!(flags_of(lines, at) & GPIO_V2_LINE_FLAG_ACTIVE_LOW);
        values->bits |= (__u64)active << at;
    }
    values->bits &= values->mask;
    return 0;
}

int ioctl(int descriptor, unsigned long what, ...)
{
    int (*real)(int, unsigned long, void *) = dlsym(RTLD_NEXT, "ioctl");
    va_list rest;
    va_start(rest, what);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (_IOC_TYPE(what) != GPIO_TYPE)
        return real(descriptor, what, argument);
    switch ((__u32)what) {
    case GPIO_GET_CHIPINFO_IOCTL:
        memset(argument, 0, sizeof(struct gpiochip_info));
        strcpy(((struct gpiochip_info *)argument)->name, "gpiochip0");
        strcpy(((struct gpiochip_info *)argument)->label, "proctor-test");
        ((struct gpiochip_info *)argument)->lines = 32;
        return 0;
    case GPIO_V2_GET_LINEINFO_IOCTL: return information(argument);
    case GPIO_V2_GET_LINE_IOCTL: return request(argument);
    case GPIO_V2_LINE_SET_VALUES_IOCTL: return set_values(descriptor, argument);
    case GPIO_V2_LINE_GET_VALUES_IOCTL: return get_values(&held[descriptor], argument);
    }
    errno = ENOTTY;
    return -1;
}
