/* A CUDA driver without a GPU: libcuda.so.1 as far as Proctor's bindings call it, over the CPU's memory.
 *
 * It lets the real cuda-bindings (and PyCUDA, where it is built) run their own code on a machine without a GPU:
 * loading, argument types, handles, error codes. Work happens at once, so it says nothing of order; the recording GPU
 * does that. PROCTOR_DRIVER_FAIL=<function> makes that function fail with CUDA_ERROR_ILLEGAL_ADDRESS, and "all" every
 * one from the moment on that it is set;
 * PROCTOR_DRIVER_DEVICES is the number of GPUs (1); PROCTOR_DRIVER_INIT is the code that cuInit returns (0).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))
typedef int R;                /* CUresult */
typedef unsigned long long P; /* CUdeviceptr */
enum { OK = 0, INVALID = 1, NO_DEVICE = 100, ILLEGAL_ADDRESS = 700, CAPTURE_INVALIDATED = 901, NOT_FOUND = 500 };
enum { HEADER = 16, DEVICEMAP = 2 }; /* before pinned memory; CU_MEMHOSTALLOC_DEVICEMAP */
enum { MAJOR = 75, MINOR = 76, INTEGRATED = 18 }; /* CUdevice_attribute */

struct node {
  int kind;
  void *dst;
  const void *src;
  size_t n;
  struct node *next;
};
struct stream {
  int capturing;
  struct node *first, *last;
};

static int depth;  /* of the context stack */
static long alive; /* allocations, streams, events and graphs whose end nobody asked for yet */

static R failing(const char *name) {
  const char *wanted = getenv("PROCTOR_DRIVER_FAIL");
  return wanted && (!strcmp(wanted, name) || !strcmp(wanted, "all")) ? ILLEGAL_ADDRESS : OK;
}
static int number(const char *name, int otherwise) {
  const char *text = getenv(name);
  return text ? atoi(text) : otherwise;
}
#define ENTER                                                                                                          \
  if (failing(__func__))                                                                                               \
  return ILLEGAL_ADDRESS
#define IN_CONTEXT                                                                                                     \
  ENTER;                                                                                                               \
  if (depth < 1)                                                                                                       \
  return 201 /* CUDA_ERROR_INVALID_CONTEXT */

API R cuInit(unsigned flags) {
  ENTER;
  return flags ? INVALID : number("PROCTOR_DRIVER_INIT", OK);
}
API R cuDriverGetVersion(int *version) {
  ENTER;
  *version = 13000;
  return OK;
}
API R cuDeviceGetCount(int *count) {
  ENTER;
  *count = number("PROCTOR_DRIVER_DEVICES", 1);
  return OK;
}
API R cuDeviceGet(int *device, int ordinal) {
  ENTER;
  if (ordinal)
    return 101;
  *device = 0;
  return OK;
}
API R cuDeviceGetName(char *name, int length, int device) {
  ENTER;
  snprintf(name, length, "CPU %d as a GPU", device);
  return OK;
}
API R cuDeviceTotalMem_v2(size_t *bytes, int device) {
  ENTER;
  *bytes = device ? 0 : (size_t)4 << 30;
  return OK;
}
API R cuDeviceComputeCapability(int *major, int *minor, int device) {
  ENTER;
  *major = 8;
  *minor = 7 + device;
  return OK;
}
API R cuDeviceGetAttribute(int *value, int attribute, int device) {
  ENTER;
  *value = attribute == MAJOR        ? 8
           : attribute == MINOR      ? 7
           : attribute == INTEGRATED ? number("PROCTOR_DRIVER_INTEGRATED", 0)
                                     : 0;
  return device ? INVALID : OK;
}
API R cuDevicePrimaryCtxRetain(void **context, int device) {
  ENTER;
  *context = &depth;
  alive++;
  return device ? INVALID : OK;
}
API R cuDevicePrimaryCtxRelease_v2(int device) {
  alive--;
  ENTER;
  return device ? INVALID : OK;
}
API R cuCtxPushCurrent_v2(void *context) {
  ENTER;
  if (context != &depth)
    return INVALID;
  depth++;
  return OK;
}
API R cuCtxPopCurrent_v2(void **context) {
  if (depth < 1)
    return 201;
  depth--;
  if (context)
    *context = &depth;
  return failing(__func__);
}
API R cuCtxGetCurrent(void **context) {
  *context = depth ? &depth : NULL;
  return OK;
}
API R cuCtxGetDevice(int *device) {
  *device = 0;
  return depth ? OK : 201;
}
API R cuCtxSynchronize(void) {
  IN_CONTEXT;
  return OK;
}

API R cuMemAlloc_v2(P *pointer, size_t size) {
  IN_CONTEXT;
  *pointer = (P)malloc(size);
  alive++;
  return OK;
}
API R cuMemFree_v2(P pointer) {
  free((void *)pointer);
  alive--;
  IN_CONTEXT;
  return OK;
}
API R cuMemHostAlloc(void **pointer, size_t size, unsigned flags) {
  IN_CONTEXT;
  unsigned *header = malloc(size + HEADER);
  *header = flags;
  *pointer = (char *)header + HEADER;
  alive++;
  return OK;
}
API R cuMemFreeHost(void *pointer) {
  free((char *)pointer - HEADER);
  alive--;
  IN_CONTEXT;
  return OK;
}
API R cuMemHostGetDevicePointer_v2(P *device, void *host, unsigned flags) {
  IN_CONTEXT;
  *device = (P)host;
  int is_mapped = *(unsigned *)((char *)host - HEADER) & DEVICEMAP;
  return flags || !is_mapped ? INVALID : OK;
}

API R cuStreamCreate(struct stream **stream, unsigned flags) {
  IN_CONTEXT;
  *stream = calloc(1, sizeof **stream);
  alive++;
  return flags == 1 ? OK : INVALID;
}
API R cuStreamDestroy_v2(struct stream *stream) {
  free(stream);
  alive--;
  IN_CONTEXT;
  return OK;
}
API R cuStreamSynchronize(struct stream *stream) {
  IN_CONTEXT;
  return stream->capturing ? 900 : OK;
}
API R cuStreamQuery(struct stream *stream) {
  IN_CONTEXT;
  return stream->capturing ? 900 : OK;
}
API R cuEventCreate(int **event, unsigned flags) {
  IN_CONTEXT;
  *event = calloc(1, sizeof(int));
  alive++;
  return flags == 2 ? OK : INVALID;
}
API R cuEventDestroy_v2(int *event) {
  free(event);
  alive--;
  IN_CONTEXT;
  return OK;
}
API R cuEventRecord(int *event, struct stream *stream) {
  IN_CONTEXT;
  *event = 1 + number("PROCTOR_DRIVER_BUSY", 0);
  return stream ? OK : INVALID;
}
API R cuEventQuery(int *event) {
  IN_CONTEXT;
  if (*event > 1) {
    --*event;
    return 600; /* not ready */
  }
  return OK;
}
API R cuStreamWaitEvent(struct stream *stream, int *event, unsigned flags) {
  IN_CONTEXT;
  return stream && event && !flags ? OK : INVALID;
}

static R copy(struct stream *stream, void *dst, const void *src, size_t n) {
  if (!stream->capturing) {
    memcpy(dst, src, n);
    return OK;
  }
  struct node *node = calloc(1, sizeof *node);
  *node = (struct node){0, dst, src, n, NULL};
  if (stream->last)
    stream->last->next = node;
  else
    stream->first = node;
  stream->last = node;
  return OK;
}
API R cuMemcpyHtoDAsync_v2(P dst, const void *src, size_t n, struct stream *stream) {
  IN_CONTEXT;
  return copy(stream, (void *)dst, src, n);
}
API R cuMemcpyDtoHAsync_v2(void *dst, P src, size_t n, struct stream *stream) {
  IN_CONTEXT;
  return copy(stream, dst, (void *)src, n);
}

API R cuStreamBeginCapture_v2(struct stream *stream, int mode) {
  IN_CONTEXT;
  if (mode != 1 || stream->capturing)
    return INVALID;
  stream->capturing = 1;
  stream->first = stream->last = NULL;
  return OK;
}
API R cuStreamEndCapture(struct stream *stream, struct node **graph) {
  if (!stream->capturing)
    return INVALID;
  stream->capturing = 0; /* also where it fails, as the driver does */
  if (failing(__func__))
    return CAPTURE_INVALIDATED;
  *graph = calloc(1, sizeof **graph);
  alive++;
  (*graph)->kind = 1;
  (*graph)->next = stream->first;
  return OK;
}
API R cuGraphInstantiateWithFlags(struct node **exec, struct node *graph, unsigned long long flags) {
  IN_CONTEXT;
  *exec = calloc(1, sizeof **exec);
  alive++;
  **exec = *graph;
  return flags ? INVALID : OK;
}
API R cuGraphLaunch(struct node *exec, struct stream *stream) {
  IN_CONTEXT;
  for (struct node *n = exec->next; n; n = n->next)
    copy(stream, n->dst, n->src, n->n);
  return OK;
}
API R cuGraphExecDestroy(struct node *exec) {
  free(exec);
  alive--;
  IN_CONTEXT;
  return OK;
}
API R cuGraphDestroy(struct node *graph) {
  free(graph);
  alive--;
  IN_CONTEXT;
  return OK;
}

API R cuGetErrorName(R code, const char **name) {
  *name = code == ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS" : code == NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : code == 999 ? "CUDA_ERROR_UNKNOWN" : NULL;
  return *name ? OK : INVALID;
}
API R cuGetErrorString(R code, const char **text) {
  *text = "an error of the stand-in";
  return code ? OK : OK;
}
/* What was not given back: memory, streams, events, graphs, contexts. */
API long proctor_alive(void) {
  return alive;
}
/* Contexts still on the stack. */
API long proctor_depth(void) {
  return depth;
}

/* Bindings ask for every function by name and version; the newest of ours is the one they mean. */
API R cuGetProcAddress_v2(const char *symbol, void **pointer, int version, uint64_t flags, int *status) {
  static const char *suffixes[] = {"_v2", ""};
  char name[256];
  (void)version;
  (void)flags;
  *pointer = NULL;
  if (!strcmp(symbol, "cuGraphInstantiate"))
    symbol = "cuGraphInstantiateWithFlags";
  for (int i = 0; i < 2 && !*pointer; i++) {
    snprintf(name, sizeof name, "%s%s", symbol, suffixes[i]);
    *pointer = dlsym(RTLD_DEFAULT, name);
    if (!*pointer) {
      Dl_info info;
      if (dladdr((void *)cuInit, &info)) {
        void *self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
        if (self)
          *pointer = dlsym(self, name);
      }
    }
  }
  if (status)
    *status = *pointer ? 0 : 1;
  return *pointer ? OK : NOT_FOUND;
}
API R cuGetProcAddress(const char *symbol, void **pointer, int version, uint64_t flags) {
  return cuGetProcAddress_v2(symbol, pointer, version, flags, NULL);
}

/* What PyCUDA 2026.1 links besides, and Proctor never calls: CUDA_ERROR_NOT_SUPPORTED. */
#define UNUSED(name) API R name(void) { return 801; }
// clang-format off
UNUSED(cuArray3DCreate_v2) UNUSED(cuArray3DGetDescriptor_v2) UNUSED(cuArrayCreate_v2) UNUSED(cuArrayDestroy)
UNUSED(cuArrayGetDescriptor_v2) UNUSED(cuCtxAttach) UNUSED(cuCtxCreate_v4) UNUSED(cuCtxDetach)
UNUSED(cuCtxDisablePeerAccess) UNUSED(cuCtxEnablePeerAccess) UNUSED(cuCtxGetApiVersion) UNUSED(cuCtxGetCacheConfig)
UNUSED(cuCtxGetLimit) UNUSED(cuCtxGetSharedMemConfig) UNUSED(cuCtxSetCacheConfig) UNUSED(cuCtxSetLimit)
UNUSED(cuCtxSetSharedMemConfig) UNUSED(cuDeviceCanAccessPeer) UNUSED(cuDeviceGetByPCIBusId)
UNUSED(cuDeviceGetPCIBusId) UNUSED(cuEventElapsedTime_v2) UNUSED(cuEventSynchronize) UNUSED(cuFuncGetAttribute)
UNUSED(cuFuncSetAttribute) UNUSED(cuFuncSetBlockShape) UNUSED(cuFuncSetCacheConfig) UNUSED(cuFuncSetSharedSize)
UNUSED(cuIpcCloseMemHandle) UNUSED(cuIpcGetEventHandle) UNUSED(cuIpcGetMemHandle) UNUSED(cuIpcOpenEventHandle)
UNUSED(cuIpcOpenMemHandle_v2) UNUSED(cuLaunch) UNUSED(cuLaunchGrid) UNUSED(cuLaunchGridAsync) UNUSED(cuLaunchKernel)
UNUSED(cuLinkAddData_v2) UNUSED(cuLinkAddFile_v2) UNUSED(cuLinkComplete) UNUSED(cuLinkCreate_v2)
UNUSED(cuLinkDestroy) UNUSED(cuMemAllocManaged) UNUSED(cuMemAllocPitch_v2) UNUSED(cuMemGetAddressRange_v2)
UNUSED(cuMemGetInfo_v2) UNUSED(cuMemHostGetFlags) UNUSED(cuMemHostRegister_v2) UNUSED(cuMemHostUnregister)
UNUSED(cuMemcpy2DAsync_v2) UNUSED(cuMemcpy2DUnaligned_v2) UNUSED(cuMemcpy2D_v2) UNUSED(cuMemcpy3DAsync_v2)
UNUSED(cuMemcpy3DPeer) UNUSED(cuMemcpy3DPeerAsync) UNUSED(cuMemcpy3D_v2) UNUSED(cuMemcpyAtoA_v2)
UNUSED(cuMemcpyAtoD_v2) UNUSED(cuMemcpyAtoH_v2) UNUSED(cuMemcpyDtoA_v2) UNUSED(cuMemcpyDtoDAsync_v2)
UNUSED(cuMemcpyDtoD_v2) UNUSED(cuMemcpyDtoH_v2) UNUSED(cuMemcpyHtoA_v2) UNUSED(cuMemcpyHtoD_v2) UNUSED(cuMemcpyPeer)
UNUSED(cuMemcpyPeerAsync) UNUSED(cuMemsetD16Async) UNUSED(cuMemsetD16_v2) UNUSED(cuMemsetD2D16Async)
UNUSED(cuMemsetD2D16_v2) UNUSED(cuMemsetD2D32Async) UNUSED(cuMemsetD2D32_v2) UNUSED(cuMemsetD2D8Async)
UNUSED(cuMemsetD2D8_v2) UNUSED(cuMemsetD32Async) UNUSED(cuMemsetD32_v2) UNUSED(cuMemsetD8Async) UNUSED(cuMemsetD8_v2)
UNUSED(cuModuleGetFunction) UNUSED(cuModuleGetGlobal_v2) UNUSED(cuModuleGetSurfRef) UNUSED(cuModuleGetTexRef)
UNUSED(cuModuleLoad) UNUSED(cuModuleLoadData) UNUSED(cuModuleLoadDataEx) UNUSED(cuModuleUnload)
UNUSED(cuParamSetSize) UNUSED(cuParamSetTexRef) UNUSED(cuParamSetf) UNUSED(cuParamSeti) UNUSED(cuParamSetv)
UNUSED(cuProfilerInitialize) UNUSED(cuProfilerStart) UNUSED(cuProfilerStop) UNUSED(cuStreamAttachMemAsync)
UNUSED(cuSurfRefGetArray) UNUSED(cuSurfRefSetArray) UNUSED(cuTexRefCreate) UNUSED(cuTexRefDestroy)
UNUSED(cuTexRefGetAddressMode) UNUSED(cuTexRefGetAddress_v2) UNUSED(cuTexRefGetArray) UNUSED(cuTexRefGetFilterMode)
UNUSED(cuTexRefGetFlags) UNUSED(cuTexRefGetFormat) UNUSED(cuTexRefSetAddress2D_v3) UNUSED(cuTexRefSetAddressMode)
UNUSED(cuTexRefSetAddress_v2) UNUSED(cuTexRefSetArray) UNUSED(cuTexRefSetFilterMode) UNUSED(cuTexRefSetFlags)
UNUSED(cuTexRefSetFormat)
