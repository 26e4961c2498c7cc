package dev.gptq.cuda.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.gptq.backend.Holdings;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The driver API in libcuda. */
public final class NativeCudaDriver implements CudaDriver {
  private static final int OUT_OF_MEMORY = 2;
  private static final int NO_DEVICE = 100;
  private static final int NON_BLOCKING = 1;
  private static final int POOL_RELEASE_THRESHOLD = 4;
  private static final int POOL_RESERVED = 5;
  private static final int MAX_DYNAMIC_SHARED_MEMORY = 8;
  private static final int CAPTURE_OF_THREAD = 1;
  private static final int HOST_MEMORY = 1;
  private static final int DEVICE_MEMORY = 2;
  private static final int MEMORY_OF_A_DEVICE = 1;
  private static final int READ_AND_WRITE = 3;
  private static final int NOT_INTERLEAVED = 0;
  private static final int NOT_SWIZZLED = 0;
  private static final int SWIZZLED_128 = 3;
  private static final int CACHE_LINES_256 = 3;
  private static final int ZEROS_OUTSIDE = 0;

  // One handle a signature: P pointer, L long or handle, I int, B byte.
  private static final MethodHandle I = NativeLibrary.status(JAVA_INT);
  private static final MethodHandle IP = NativeLibrary.status(JAVA_INT, ADDRESS);
  private static final MethodHandle P = NativeLibrary.status(ADDRESS);
  private static final MethodHandle PI = NativeLibrary.status(ADDRESS, JAVA_INT);
  private static final MethodHandle PII = NativeLibrary.status(ADDRESS, JAVA_INT, JAVA_INT);
  private static final MethodHandle L = NativeLibrary.status(JAVA_LONG);
  private static final MethodHandle LL = NativeLibrary.status(JAVA_LONG, JAVA_LONG);
  private static final MethodHandle LI = NativeLibrary.status(JAVA_LONG, JAVA_INT);
  private static final MethodHandle LP = NativeLibrary.status(JAVA_LONG, ADDRESS);
  private static final MethodHandle LIP = NativeLibrary.status(JAVA_LONG, JAVA_INT, ADDRESS);
  private static final MethodHandle LII = NativeLibrary.status(JAVA_LONG, JAVA_INT, JAVA_INT);
  private static final MethodHandle LLLLLL =
      NativeLibrary.status(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);
  private static final MethodHandle LPL = NativeLibrary.status(JAVA_LONG, ADDRESS, JAVA_LONG);
  private static final MethodHandle PLL = NativeLibrary.status(ADDRESS, JAVA_LONG, JAVA_LONG);
  private static final MethodHandle PLP = NativeLibrary.status(ADDRESS, JAVA_LONG, ADDRESS);
  private static final MethodHandle PP = NativeLibrary.status(ADDRESS, ADDRESS);
  private static final MethodHandle PL = NativeLibrary.status(ADDRESS, JAVA_LONG);
  private static final MethodHandle LPLL =
      NativeLibrary.status(JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_LONG);
  private static final MethodHandle LBLL =
      NativeLibrary.status(JAVA_LONG, JAVA_BYTE, JAVA_LONG, JAVA_LONG);
  private static final MethodHandle LAUNCH =
      NativeLibrary.status(
          JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT,
          JAVA_LONG, ADDRESS, ADDRESS);

  private static final MethodHandle ENCODE =
      NativeLibrary.status(
          ADDRESS, JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_INT,
          JAVA_INT, JAVA_INT, JAVA_INT);

  // Memory for out-parameters and for a structure, of every thread its own.
  private static final ThreadLocal<MemorySegment> OUT =
      ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(256, 16));
  private static final ThreadLocal<MemorySegment> COPY =
      ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(128, 16));

  /** The device whose context a thread has entered. */
  private static final ThreadLocal<Integer> CURRENT = new ThreadLocal<>();

  private final NativeLibrary library;

  /** Primary contexts by device; they are the same as long as anyone retains them. */
  private final Map<Integer, Long> contexts = new ConcurrentHashMap<>();

  private final SpareBlocks blocks =
      new SpareBlocks(
          new SpareBlocks.Pool() {
            @Override
            public long allocate(long bytes, long stream) {
              return takeFromPool(bytes, stream);
            }

            @Override
            public void free(long address, long stream) {
              check("cuMemFreeAsync", () -> (int) LL.invokeExact(free, address, stream));
            }
          });

  // Looked up once: these are called for every operation.
  private final MemorySegment launch;
  private final MemorySegment allocate;
  private final MemorySegment free;

  private NativeCudaDriver(NativeLibrary library) {
    this.library = library;
    this.launch = library.function("cuLaunchKernel");
    this.allocate = library.function("cuMemAllocAsync");
    this.free = library.function("cuMemFreeAsync");
  }

  /**
   * The driver once it is initialised.
   *
   * @throws CudaUnavailableException if it is too old or sees no device
   */
  public static CudaDriver open(DriverStart start) {
    NativeCudaDriver driver = new NativeCudaDriver(start.library());
    int status = start.status().result();
    if (status == NO_DEVICE) {
      throw new CudaUnavailableException(
          "the NVIDIA driver sees no device", "Check nvidia-smi and CUDA_VISIBLE_DEVICES");
    }
    if (status != 0) {
      throw new CudaUnavailableException(
          "cuInit failed: " + driver.meaning(status) + " (status " + status + ")",
          "Check that nvidia-smi works; after a driver update, restart the machine");
    }
    return driver;
  }

  @Override
  public int version() {
    MemorySegment out = OUT.get();
    MemorySegment f = library.function("cuDriverGetVersion");
    check("cuDriverGetVersion", () -> (int) P.invokeExact(f, out));
    return out.get(JAVA_INT, 0);
  }

  @Override
  public int devices() {
    MemorySegment out = OUT.get();
    MemorySegment f = library.function("cuDeviceGetCount");
    check("cuDeviceGetCount", () -> (int) P.invokeExact(f, out));
    return out.get(JAVA_INT, 0);
  }

  @Override
  public String deviceName(int device) {
    MemorySegment out = OUT.get();
    MemorySegment f = library.function("cuDeviceGetName");
    int handle = handle(device);
    check("cuDeviceGetName", () -> (int) PII.invokeExact(f, out, (int) out.byteSize(), handle));
    return out.getString(0);
  }

  @Override
  public int attribute(int attribute, int device) {
    MemorySegment out = OUT.get();
    MemorySegment f = library.function("cuDeviceGetAttribute");
    int handle = handle(device);
    check("cuDeviceGetAttribute", () -> (int) PII.invokeExact(f, out, attribute, handle));
    return out.get(JAVA_INT, 0);
  }

  @Override
  public long totalMemory(int device) {
    MemorySegment out = OUT.get();
    MemorySegment f = library.function("cuDeviceTotalMem_v2");
    int handle = handle(device);
    check("cuDeviceTotalMem", () -> (int) PI.invokeExact(f, out, handle));
    return out.get(JAVA_LONG, 0);
  }

  @Override
  public long freeMemory() {
    MemorySegment out = OUT.get();
    MemorySegment total = out.asSlice(JAVA_LONG.byteSize());
    MemorySegment f = library.function("cuMemGetInfo_v2");
    check("cuMemGetInfo", () -> (int) PP.invokeExact(f, out, total));
    return out.get(JAVA_LONG, 0);
  }

  private int handle(int device) {
    MemorySegment out = OUT.get();
    MemorySegment f = library.function("cuDeviceGet");
    check("cuDeviceGet", () -> (int) PI.invokeExact(f, out, device));
    return out.get(JAVA_INT, 0);
  }

  @Override
  public void enterContext(int device) {
    MemorySegment out = OUT.get();
    MemorySegment retain = library.function("cuDevicePrimaryCtxRetain");
    int handle = handle(device);
    check("cuDevicePrimaryCtxRetain", () -> (int) PI.invokeExact(retain, out, handle));
    long context = out.get(JAVA_LONG, 0);
    contexts.put(device, context);
    Holdings.allOrNothing(taken -> {
      taken.add(() -> leaveContext(device));
      MemorySegment set = library.function("cuCtxSetCurrent");
      check("cuCtxSetCurrent", () -> (int) L.invokeExact(set, context));
      CURRENT.set(device);
      return context;
    });
  }

  @Override
  public void leaveContext(int device) {
    int handle = handle(device);
    MemorySegment f = library.function("cuDevicePrimaryCtxRelease_v2");
    check("cuDevicePrimaryCtxRelease", () -> (int) I.invokeExact(f, handle));
  }

  @Override
  public long createStream() {
    MemorySegment out = OUT.get();
    MemorySegment f = library.function("cuStreamCreate");
    check("cuStreamCreate", () -> (int) PI.invokeExact(f, out, NON_BLOCKING));
    long stream = out.get(JAVA_LONG, 0);
    int device = CURRENT.get();
    blocks.begin(stream, device, totalMemory(device));
    return stream;
  }

  @Override
  public void destroyStream(long stream) {
    try (Holdings all = new Holdings()) {
      all.add(() -> destroy(stream));
      all.add(() -> blocks.end(stream));
    }
  }

  private void destroy(long stream) {
    MemorySegment f = library.function("cuStreamDestroy_v2");
    check("cuStreamDestroy", () -> (int) L.invokeExact(f, stream));
  }

  @Override
  public void synchronize(long stream) {
    MemorySegment f = library.function("cuStreamSynchronize");
    check("cuStreamSynchronize", () -> (int) L.invokeExact(f, stream));
  }

  @Override
  public void keepFreedMemory(int device) {
    MemorySegment out = OUT.get();
    long pool = pool(device);
    out.set(JAVA_LONG, 0, -1L);
    MemorySegment f = library.function("cuMemPoolSetAttribute");
    check(
        "cuMemPoolSetAttribute", () -> (int) LIP.invokeExact(f, pool, POOL_RELEASE_THRESHOLD, out));
  }

  @Override
  public long pooledMemory(int device) {
    MemorySegment out = OUT.get();
    long pool = pool(device);
    MemorySegment f = library.function("cuMemPoolGetAttribute");
    check("cuMemPoolGetAttribute", () -> (int) LIP.invokeExact(f, pool, POOL_RESERVED, out));
    return out.get(JAVA_LONG, 0);
  }

  @Override
  public void trimPool(int device) {
    blocks.giveBack(device);
    long pool = pool(device);
    MemorySegment f = library.function("cuMemPoolTrimTo");
    check("cuMemPoolTrimTo", () -> (int) LL.invokeExact(f, pool, 0L));
  }

  private long pool(int device) {
    MemorySegment out = OUT.get();
    int handle = handle(device);
    MemorySegment f = library.function("cuDeviceGetDefaultMemPool");
    check("cuDeviceGetDefaultMemPool", () -> (int) PI.invokeExact(f, out, handle));
    return out.get(JAVA_LONG, 0);
  }

  @Override
  public long allocate(long bytes, long stream) {
    return blocks.allocate(bytes, stream);
  }

  private long takeFromPool(long bytes, long stream) {
    MemorySegment out = OUT.get();
    int status =
        Call.status("cuMemAllocAsync", () -> (int) PLL.invokeExact(allocate, out, bytes, stream));
    if (status == OUT_OF_MEMORY) {
      return 0;
    }
    check("cuMemAllocAsync", status);
    return out.get(JAVA_LONG, 0);
  }

  @Override
  public void free(long address, long stream) {
    blocks.free(address, stream);
  }

  @Override
  public MemorySegment allocateHost(long bytes) {
    MemorySegment out = OUT.get();
    MemorySegment f = library.function("cuMemAllocHost_v2");
    check("cuMemAllocHost", () -> (int) PL.invokeExact(f, out, bytes));
    return NativeLibrary.memory(out.get(JAVA_LONG, 0), bytes);
  }

  @Override
  public void freeHost(MemorySegment memory) {
    MemorySegment f = library.function("cuMemFreeHost");
    check("cuMemFreeHost", () -> (int) P.invokeExact(f, memory));
  }

  @Override
  public void copyToDevice(long device, MemorySegment host, long bytes, long stream) {
    MemorySegment f = library.function("cuMemcpyHtoDAsync_v2");
    check("cuMemcpyHtoDAsync", () -> (int) LPLL.invokeExact(f, device, host, bytes, stream));
  }

  @Override
  public void copyToHost(
      MemorySegment host, long device, long pitch, long bytes, long runs, long stream) {
    MemorySegment copy = COPY.get();
    // CUDA_MEMCPY2D: source x, y, type, host, device, array, pitch; the same of the destination;
    // width in bytes, height.
    copy.fill((byte) 0);
    copy.set(JAVA_INT, 16, DEVICE_MEMORY);
    copy.set(JAVA_LONG, 32, device);
    copy.set(JAVA_LONG, 48, pitch);
    copy.set(JAVA_INT, 72, HOST_MEMORY);
    copy.set(JAVA_LONG, 80, host.address());
    copy.set(JAVA_LONG, 104, bytes);
    copy.set(JAVA_LONG, 112, bytes);
    copy.set(JAVA_LONG, 120, runs);
    MemorySegment f = library.function("cuMemcpy2DAsync_v2");
    check("cuMemcpy2DAsync", () -> (int) PL.invokeExact(f, copy, stream));
  }

  @Override
  public boolean reach(int device, int other) {
    MemorySegment out = OUT.get();
    int from = handle(device);
    int to = handle(other);
    MemorySegment f = library.function("cuDeviceCanAccessPeer");
    check("cuDeviceCanAccessPeer", () -> (int) PII.invokeExact(f, out, from, to));
    if (out.get(JAVA_INT, 0) == 0) {
      return false;
    }
    long pool = pool(other);
    // CUmemAccessDesc: type and id of the location, rights.
    out.set(JAVA_INT, 0, MEMORY_OF_A_DEVICE);
    out.set(JAVA_INT, 4, from);
    out.set(JAVA_INT, 8, READ_AND_WRITE);
    MemorySegment set = library.function("cuMemPoolSetAccess");
    check("cuMemPoolSetAccess", () -> (int) LPL.invokeExact(set, pool, out, 1L));
    return true;
  }

  @Override
  public void copyFromDevice(
      long to, int toDevice, long from, int fromDevice, long bytes, long stream) {
    long toContext = contexts.get(toDevice);
    long fromContext = contexts.get(fromDevice);
    MemorySegment f = library.function("cuMemcpyPeerAsync");
    check(
        "cuMemcpyPeerAsync",
        () -> (int) LLLLLL.invokeExact(f, to, toContext, from, fromContext, bytes, stream));
  }

  @Override
  public void zero(long device, long bytes, long stream) {
    MemorySegment f = library.function("cuMemsetD8Async");
    check("cuMemsetD8Async", () -> (int) LBLL.invokeExact(f, device, (byte) 0, bytes, stream));
  }

  @Override
  public long loadModule(MemorySegment image) {
    MemorySegment out = OUT.get();
    MemorySegment f = library.function("cuModuleLoadData");
    check("cuModuleLoadData", () -> (int) PP.invokeExact(f, out, image));
    return out.get(JAVA_LONG, 0);
  }

  @Override
  public void unloadModule(long module) {
    MemorySegment f = library.function("cuModuleUnload");
    check("cuModuleUnload", () -> (int) L.invokeExact(f, module));
  }

  @Override
  public long function(long module, String name) {
    MemorySegment out = OUT.get();
    MemorySegment f = library.function("cuModuleGetFunction");
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment text = arena.allocateFrom(name);
      check("cuModuleGetFunction " + name, () -> (int) PLP.invokeExact(f, out, module, text));
    }
    return out.get(JAVA_LONG, 0);
  }

  @Override
  public void allowSharedMemory(long function, int bytes) {
    MemorySegment f = library.function("cuFuncSetAttribute");
    check(
        "cuFuncSetAttribute",
        () -> (int) LII.invokeExact(f, function, MAX_DYNAMIC_SHARED_MEMORY, bytes));
  }

  @Override
  public void encode(BoxLayout layout, MemorySegment target) {
    MemorySegment f = library.function("cuTensorMapEncodeTiled");
    MemorySegment sizes = COPY.get();
    sizes.set(JAVA_LONG, 0, layout.columns());
    sizes.set(JAVA_LONG, 8, layout.rows());
    sizes.set(JAVA_LONG, 16, layout.pitch());
    sizes.set(JAVA_INT, 24, layout.boxColumns());
    sizes.set(JAVA_INT, 28, layout.boxRows());
    sizes.set(JAVA_INT, 32, 1);
    sizes.set(JAVA_INT, 36, 1);
    check(
        "cuTensorMapEncodeTiled",
        () ->
            (int)
                ENCODE.invokeExact(
                    f,
                    target,
                    layout.element().code(),
                    2,
                    layout.address(),
                    sizes,
                    sizes.asSlice(16),
                    sizes.asSlice(24),
                    sizes.asSlice(32),
                    NOT_INTERLEAVED,
                    layout.swizzled() ? SWIZZLED_128 : NOT_SWIZZLED,
                    CACHE_LINES_256,
                    ZEROS_OUTSIDE));
  }

  @Override
  public void launch(
      long function,
      int gridX,
      int gridY,
      int gridZ,
      int blockX,
      int blockY,
      int sharedBytes,
      long stream,
      MemorySegment parameters) {
    check(
        "cuLaunchKernel",
        () ->
            (int)
                LAUNCH.invokeExact(
                    launch,
                    function,
                    gridX,
                    gridY,
                    gridZ,
                    blockX,
                    blockY,
                    1,
                    sharedBytes,
                    stream,
                    parameters,
                    MemorySegment.NULL));
  }

  @Override
  public void beginRecording(long stream) {
    MemorySegment f = library.function("cuStreamBeginCapture_v2");
    check("cuStreamBeginCapture", () -> (int) LI.invokeExact(f, stream, CAPTURE_OF_THREAD));
    blocks.record(stream, true);
  }

  @Override
  public long endRecording(long stream) {
    MemorySegment out = OUT.get();
    blocks.record(stream, false);
    MemorySegment end = library.function("cuStreamEndCapture");
    check("cuStreamEndCapture", () -> (int) LP.invokeExact(end, stream, out));
    long graph = out.get(JAVA_LONG, 0);
    MemorySegment destroy = library.function("cuGraphDestroy");
    try (Holdings taken = new Holdings()) {
      taken.add(() -> check("cuGraphDestroy", () -> (int) L.invokeExact(destroy, graph)));
      MemorySegment f = library.function("cuGraphInstantiateWithFlags");
      check("cuGraphInstantiate", () -> (int) PLL.invokeExact(f, out, graph, 0L));
      return out.get(JAVA_LONG, 0);
    }
  }

  @Override
  public void replay(long recording, long stream) {
    MemorySegment f = library.function("cuGraphLaunch");
    check("cuGraphLaunch", () -> (int) LL.invokeExact(f, recording, stream));
  }

  @Override
  public void destroyRecording(long recording) {
    MemorySegment f = library.function("cuGraphExecDestroy");
    check("cuGraphExecDestroy", () -> (int) L.invokeExact(f, recording));
  }

  @Override
  public long createEvent() {
    MemorySegment out = OUT.get();
    MemorySegment f = library.function("cuEventCreate");
    check("cuEventCreate", () -> (int) PI.invokeExact(f, out, 0));
    return out.get(JAVA_LONG, 0);
  }

  @Override
  public void record(long event, long stream) {
    MemorySegment f = library.function("cuEventRecord");
    check("cuEventRecord", () -> (int) LL.invokeExact(f, event, stream));
  }

  @Override
  public void awaitEvent(long event) {
    MemorySegment f = library.function("cuEventSynchronize");
    check("cuEventSynchronize", () -> (int) L.invokeExact(f, event));
  }

  @Override
  public float elapsed(long from, long to) {
    MemorySegment out = OUT.get();
    MemorySegment f = library.function("cuEventElapsedTime");
    check("cuEventElapsedTime", () -> (int) PLL.invokeExact(f, out, from, to));
    return out.get(JAVA_FLOAT, 0);
  }

  @Override
  public void destroyEvent(long event) {
    MemorySegment f = library.function("cuEventDestroy_v2");
    check("cuEventDestroy", () -> (int) L.invokeExact(f, event));
  }

  private void check(String name, Call call) {
    check(name, Call.status(name, call));
  }

  private void check(String name, int status) {
    if (status != 0) {
      throw new CudaException(name, status, meaning(status));
    }
  }

  private String meaning(int status) {
    MemorySegment out = OUT.get();
    MemorySegment name = library.function("cuGetErrorName");
    MemorySegment text = library.function("cuGetErrorString");
    if (Call.status("cuGetErrorName", () -> (int) IP.invokeExact(name, status, out)) != 0) {
      return "unknown error";
    }
    String id = NativeLibrary.string(out.get(JAVA_LONG, 0));
    int described = Call.status("cuGetErrorString", () -> (int) IP.invokeExact(text, status, out));
    return described == 0 ? id + ", " + NativeLibrary.string(out.get(JAVA_LONG, 0)) : id;
  }
}
