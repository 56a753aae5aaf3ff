/* A camera's driver for tests, put before the system's ioctl by LD_PRELOAD: whatever file is open is the camera.

   It has controls as a webcam has them, and answers by the kernel's own structures. Compiled with -DNUMBERS it is a
   program instead that prints the numbers and layouts of linux/videodev2.h. */

#include <errno.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#ifdef NUMBERS

#define OFFSET(type, member) printf(#type "." #member " %zu\n", offsetof(struct type, member))

int main(void)
{
    printf("VIDIOC_QUERYCAP %lu\n", (unsigned long)VIDIOC_QUERYCAP);
    printf("VIDIOC_G_CTRL %lu\n", (unsigned long)VIDIOC_G_CTRL);
    printf("VIDIOC_S_CTRL %lu\n", (unsigned long)VIDIOC_S_CTRL);
    printf("VIDIOC_QUERYCTRL %lu\n", (unsigned long)VIDIOC_QUERYCTRL);
    printf("VIDIOC_QUERYMENU %lu\n", (unsigned long)VIDIOC_QUERYMENU);
    printf("NEXT_CTRL %lu\n", (unsigned long)V4L2_CTRL_FLAG_NEXT_CTRL);
    printf("CAP_VIDEO_CAPTURE %d\n", V4L2_CAP_VIDEO_CAPTURE);
    printf("CAP_VIDEO_CAPTURE_MPLANE %d\n", V4L2_CAP_VIDEO_CAPTURE_MPLANE);
    printf("CAP_DEVICE_CAPS %lu\n", (unsigned long)V4L2_CAP_DEVICE_CAPS);
    printf("DISABLED %d\nGRABBED %d\nREAD_ONLY %d\nINACTIVE %d\n", V4L2_CTRL_FLAG_DISABLED, V4L2_CTRL_FLAG_GRABBED,
           V4L2_CTRL_FLAG_READ_ONLY, V4L2_CTRL_FLAG_INACTIVE);
    printf("INTEGER %d\nBOOLEAN %d\nMENU %d\nBUTTON %d\nBITMASK %d\nINTEGER_MENU %d\n", V4L2_CTRL_TYPE_INTEGER,
           V4L2_CTRL_TYPE_BOOLEAN, V4L2_CTRL_TYPE_MENU, V4L2_CTRL_TYPE_BUTTON, V4L2_CTRL_TYPE_BITMASK,
           V4L2_CTRL_TYPE_INTEGER_MENU);
    printf("CAPABILITY %zu\nQUERYCTRL %zu\nCONTROL %zu\nQUERYMENU %zu\n", sizeof(struct v4l2_capability),
           sizeof(struct v4l2_queryctrl), sizeof(struct v4l2_control), sizeof(struct v4l2_querymenu));
    OFFSET(v4l2_capability, card);
    OFFSET(v4l2_capability, capabilities);
    OFFSET(v4l2_capability, device_caps);
    OFFSET(v4l2_queryctrl, name);
    OFFSET(v4l2_queryctrl, minimum);
    OFFSET(v4l2_queryctrl, default_value);
    OFFSET(v4l2_queryctrl, flags);
    OFFSET(v4l2_control, value);
    OFFSET(v4l2_querymenu, index);
    OFFSET(v4l2_querymenu, name);
    return 0;
}

#else

enum { EXPOSURE_AUTO = V4L2_CID_EXPOSURE_AUTO, EXPOSURE = V4L2_CID_EXPOSURE_ABSOLUTE };

static struct {
    __u32 id, type;
    const char *name;
    __s32 minimum, maximum, step, value;
    __u32 flags;
} controls[] = {
    {V4L2_CID_USER_CLASS, V4L2_CTRL_TYPE_CTRL_CLASS, "User Controls", 0, 0, 0, 0, 0},
    {V4L2_CID_BRIGHTNESS, V4L2_CTRL_TYPE_INTEGER, "Brightness", -64, 64, 1, 0, 0},
    {V4L2_CID_GAMMA, V4L2_CTRL_TYPE_INTEGER, "Gamma", 72, 500, 1, 100, V4L2_CTRL_FLAG_DISABLED},
    {V4L2_CID_GAIN, V4L2_CTRL_TYPE_INTEGER, "Gain", 0, 96, 8, 0, 0},
    {V4L2_CID_AUTO_WHITE_BALANCE, V4L2_CTRL_TYPE_BOOLEAN, "White Balance, Automatic", 0, 1, 1, 1, 0},
    {V4L2_CID_DO_WHITE_BALANCE, V4L2_CTRL_TYPE_BUTTON, "Do White Balance", 0, 0, 0, 0, 0},
    {V4L2_CID_SHARPNESS, V4L2_CTRL_TYPE_INTEGER, "Sharpness", 0, 7, 1, 3, 0}, /* never holds more than 5 */
    {V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, V4L2_CTRL_TYPE_INTEGER, "Min Buffers", 1, 32, 1, 4, V4L2_CTRL_FLAG_READ_ONLY},
    {V4L2_CID_ROTATE, V4L2_CTRL_TYPE_INTEGER, "Rotate", 0, 270, 90, 0, V4L2_CTRL_FLAG_GRABBED},
    {EXPOSURE_AUTO, V4L2_CTRL_TYPE_MENU, "Auto Exposure", 0, 3, 1, 3, 0},
    {EXPOSURE, V4L2_CTRL_TYPE_INTEGER, "Exposure Time, Absolute", 3, 2047, 1, 250, 0},
    {V4L2_CID_PIXEL_RATE, V4L2_CTRL_TYPE_INTEGER64, "Pixel Rate", 0, 0, 0, 0, 0},
    {V4L2_CID_LINK_FREQ, V4L2_CTRL_TYPE_INTEGER_MENU, "Link Frequency", 0, 1, 1, 0, 0},
};

enum { COUNT = sizeof controls / sizeof *controls };

static __s32 defaults[COUNT];

__attribute__((constructor)) static void remember(void)
{
    for (int at = 0; at < COUNT; at++)
        defaults[at] = controls[at].value;
}

static int refuse(int reason)
{
    errno = reason;
    return -1;
}

static int find(__u32 id)
{
    for (int at = 0; at < COUNT; at++)
        if (controls[at].id == id)
            return at;
    return -1;
}

static int next(__u32 id)
{
    int best = -1;
    for (int at = 0; at < COUNT; at++)
        if (controls[at].id > id && (best < 0 || controls[at].id < controls[best].id))
            best = at;
    return best;
}

static int describe(struct v4l2_queryctrl *query)
{
    int at = query->id & V4L2_CTRL_FLAG_NEXT_CTRL ? next(query->id & ~V4L2_CTRL_FLAG_NEXT_CTRL) : find(query->id);
    if (at < 0)
        return refuse(EINVAL);
    memset(query, 0, sizeof *query);
    query->id = controls[at].id;
    query->type = controls[at].type;
    strcpy((char *)query->name, controls[at].name);
    query->minimum = controls[at].minimum;
    query->maximum = controls[at].maximum;
    query->step = controls[at].step;
    query->default_value = defaults[at];
    query->flags = controls[at].flags;
    if (query->id == EXPOSURE && controls[find(EXPOSURE_AUTO)].value != V4L2_EXPOSURE_MANUAL)
        query->flags |= V4L2_CTRL_FLAG_INACTIVE;
    return 0;
}

static int menu(struct v4l2_querymenu *query)
{
    if (query->id == V4L2_CID_LINK_FREQ && query->index < 2) {
        query->value = query->index ? 456000000 : 912000000;
        return 0;
    }
    if (query->id != EXPOSURE_AUTO || (query->index != 1 && query->index != 3))
        return refuse(EINVAL); /* a webcam's menu has holes */
    strcpy((char *)query->name, query->index == 1 ? "Manual Mode" : "Aperture Priority Mode");
    return 0;
}

static int set(struct v4l2_control *control)
{
    int at = find(control->id);
    if (at < 0)
        return refuse(EINVAL);
    if (controls[at].flags & V4L2_CTRL_FLAG_READ_ONLY)
        return refuse(EACCES);
    if (controls[at].flags & V4L2_CTRL_FLAG_GRABBED)
        return refuse(EBUSY);
    controls[at].value = control->id == V4L2_CID_SHARPNESS && control->value > 5 ? 5 : control->value;
    return 0;
}

static int get(struct v4l2_control *control)
{
    int at = find(control->id);
    if (at < 0)
        return refuse(EINVAL);
    control->value = controls[at].value;
    return 0;
}

static int capability(struct v4l2_capability *answer)
{
    memset(answer, 0, sizeof *answer);
    strcpy((char *)answer->card, "Test Camera: One");
    answer->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_META_CAPTURE | V4L2_CAP_DEVICE_CAPS;
    answer->device_caps = V4L2_CAP_META_CAPTURE; /* the second device of a webcam */
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    (void)fd;
    switch ((__u32)request) {
    case VIDIOC_QUERYCAP: return capability(argument);
    case VIDIOC_QUERYCTRL: return describe(argument);
    case VIDIOC_QUERYMENU: return menu(argument);
    case VIDIOC_S_CTRL: return set(argument);
    case VIDIOC_G_CTRL: return get(argument);
    }
    return refuse(ENOTTY);
}

#endif
