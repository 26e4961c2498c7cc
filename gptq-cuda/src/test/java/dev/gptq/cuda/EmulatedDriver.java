package dev.gptq.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.gptq.cuda.driver.BoxLayout;
import dev.gptq.cuda.driver.CudaDriver;
import dev.gptq.cuda.driver.CudaException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A device in host memory that checks how it is used: every block is freed once, every handle is
 * known, launches keep to the limits of a GPU, the context is entered, and nothing is written
 * around a block. Threads take turns. Kernels run at once, built for the host; with no library
 * given they do not run.
 */
@SuppressWarnings("restricted")
final class EmulatedDriver implements CudaDriver {
  static final int MAX_THREADS = 1024;
  static final int MAX_GRID_YZ = 65535;
  static final int SHARED_WITHOUT_ASKING = 48 << 10;

  private static final long GUARD = 256;
  private static final byte CANARY = (byte) 0xa5;
  private static final byte POISON = (byte) 0xff;
  private static final MethodHandle ENTRY =
      Linker.nativeLinker()
          .downcallHandle(
              FunctionDescriptor.ofVoid(
                  JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS));

  /** Devices share a library, whose threads and shared memory are those of one launch. */
  private static final Object LAUNCH = new Object();

  // The C library's heap: to close a shared arena stops all threads, a quarter of the tests' time.
  private static final MethodHandle MALLOC =
      function("malloc", FunctionDescriptor.of(ADDRESS, JAVA_LONG));
  private static final MethodHandle FREE = function("free", FunctionDescriptor.ofVoid(ADDRESS));

  /** Memory with what stands around it; {@code raw} is what is given back. */
  private record Block(MemorySegment raw, MemorySegment memory, long bytes) {}

  private final SymbolLookup kernels;
  private final long capacity;
  private final PendingCopies copies = new PendingCopies();
  private final int capability;
  private int minor;
  private final Map<Long, Block> blocks = new HashMap<>();
  private final Map<Long, Arena> hostBlocks = new HashMap<>();
  private final Set<Long> handles = new HashSet<>();
  private final Map<Long, Integer> shared = new HashMap<>();
  private final List<String> launched = new ArrayList<>();
  private final Map<Long, String> names = new HashMap<>();
  private final Map<Integer, Integer> entered = new HashMap<>();
  private final Map<Long, Integer> owners = new HashMap<>();
  private final Set<List<Integer>> reached = new HashSet<>();
  private final List<String> ways = new ArrayList<>();
  private final ThreadLocal<Integer> current = new ThreadLocal<>();
  private final Map<Long, Recorded> recordings = new HashMap<>();
  private Recorded recording;

  /**
   * What was recorded.
   *
   * @param launches run at each replay
   * @param freed memory that was given back meanwhile: a graph keeps it for its replays
   */
  private record Recorded(List<Runnable> launches, List<Runnable> freed) {}

  private int devices = 1;
  private int other = -1;
  private boolean peers = true;
  private int contexts;
  private int takes = Integer.MAX_VALUE;
  private boolean failed;
  private long used;
  private long next = 1000;

  private EmulatedDriver(SymbolLookup kernels, long capacity, int capability) {
    this.kernels = kernels;
    this.capacity = capacity;
    this.capability = capability;
  }

  /** Runs the kernels of a library. */
  static EmulatedDriver of(Path library) {
    return of(library, 9);
  }

  /** Runs the kernels of a library and says that its compute capability is {@code capability}.0. */
  static EmulatedDriver of(Path library, int capability) {
    SymbolLookup kernels = SymbolLookup.libraryLookup(library, Arena.global());
    return new EmulatedDriver(kernels, Long.MAX_VALUE, capability);
  }

  /** Says that its compute capability is another. */
  EmulatedDriver withMinor(int number) {
    minor = number;
    return this;
  }

  /** The same with several devices, which share its memory and streams. */
  EmulatedDriver withDevices(int count) {
    devices = count;
    return this;
  }

  /** Says that a device is another model than the rest. */
  EmulatedDriver withOther(int device) {
    other = device;
    return this;
  }

  /** Lets no device reach the memory of another. */
  EmulatedDriver withoutPeers() {
    peers = false;
    return this;
  }

  /** Copies between devices so far: those on a direct way, and those through the host. */
  List<String> ways() {
    return ways;
  }

  /** Runs no kernels and has {@code capacity} bytes. */
  static EmulatedDriver withoutKernels(long capacity) {
    return withoutKernels(capacity, 9);
  }

  /** The same with compute capability {@code capability}.0. */
  static EmulatedDriver withoutKernels(long capacity, int capability) {
    return new EmulatedDriver(null, capacity, capability);
  }

  /**
   * Bytes of shared memory that a block may ask for ("Compute Capabilities" in the CUDA C++
   * Programming Guide).
   */
  private int sharedLimit() {
    if (capability == 8) {
      return minor == 0 ? 163 << 10 : 99 << 10;
    }
    return capability == 12 ? 99 << 10 : 227 << 10;
  }

  /** Names of the kernels launched so far. */
  List<String> launched() {
    return launched;
  }

  /** Device blocks, host blocks, streams, events, modules and contexts that nobody gave back. */
  int outstanding() {
    return blocks.size() + hostBlocks.size() + handles.size() + contexts;
  }

  /** Contexts that were entered and not left. */
  int contexts() {
    return contexts;
  }

  /** Lets that many contexts, streams, events, modules and host blocks be taken, and no more. */
  void failAfter(int more) {
    takes = more;
  }

  /** From now on nothing works but leaving contexts. */
  void fail() {
    failed = true;
  }

  private void take() {
    if (takes-- <= 0) {
      throw new CudaException("cuCreate", 2, "nothing more can be taken");
    }
  }

  @Override
  public int version() {
    return 13000;
  }

  @Override
  public int devices() {
    return devices;
  }

  @Override
  public String deviceName(int device) {
    return device == other ? "another" : "host";
  }

  @Override
  public int attribute(int attribute, int device) {
    return switch (attribute) {
      case MULTIPROCESSORS -> 4;
      case CAPABILITY_MAJOR -> capability;
      case CAPABILITY_MINOR -> minor;
      case SHARED_MEMORY -> sharedLimit();
      case MEMORY_POOLS -> 1;
      default -> 0;
    };
  }

  @Override
  public long totalMemory(int device) {
    return capacity;
  }

  @Override
  public synchronized long freeMemory() {
    return capacity - used;
  }

  @Override
  public synchronized void enterContext(int device) {
    take();
    contexts++;
    entered.merge(device, 1, Integer::sum);
    current.set(device);
  }

  @Override
  public synchronized void leaveContext(int device) {
    require(entered.merge(device, -1, Integer::sum) >= 0, "a context is left that was not entered");
    contexts--;
  }

  @Override
  public synchronized long createStream() {
    return handle();
  }

  @Override
  public synchronized void destroyStream(long stream) {
    copies.await(stream);
    destroy(stream);
  }

  @Override
  public synchronized void synchronize(long stream) {
    known(stream);
    copies.await(stream);
  }

  @Override
  public synchronized void keepFreedMemory(int device) {
    require(contexts > 0, "no context");
  }

  @Override
  public synchronized long pooledMemory(int device) {
    return used;
  }

  @Override
  public synchronized void trimPool(int device) {
    require(contexts > 0, "no context");
  }

  @Override
  public synchronized long allocate(long bytes, long stream) {
    known(stream);
    require(bytes > 0, "an empty block");
    if (used + bytes > capacity) {
      return 0;
    }
    MemorySegment raw = malloc(bytes + 3 * GUARD);
    require(raw.address() != 0, "no memory for " + bytes + " bytes");
    MemorySegment whole = raw.asSlice(-raw.address() & (GUARD - 1), bytes + 2 * GUARD);
    whole.fill(CANARY);
    MemorySegment memory = whole.asSlice(GUARD, bytes);
    memory.fill(POISON);
    blocks.put(memory.address(), new Block(raw, whole, bytes));
    owners.put(memory.address(), current.get());
    used += bytes;
    return memory.address();
  }

  @Override
  public synchronized void free(long address, long stream) {
    known(stream);
    if (recording != null) {
      recording.freed().add(() -> free(address, stream));
      return;
    }
    Block block = blocks.remove(address);
    require(block != null, "a block is freed that is not allocated");
    arrive(stream);
    copies.release(block.memory());
    require(owners.remove(address).equals(current.get()), "a block of another device is freed");
    for (long i = 0; i < GUARD; i++) {
      require(canary(block, i) && canary(block, GUARD + block.bytes() + i), "written outside");
    }
    used -= block.bytes();
    free(block.raw());
  }

  private static MethodHandle function(String name, FunctionDescriptor type) {
    Linker linker = Linker.nativeLinker();
    return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), type);
  }

  private static MemorySegment malloc(long bytes) {
    try {
      return ((MemorySegment) MALLOC.invokeExact(bytes)).reinterpret(bytes);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  private static void free(MemorySegment raw) {
    try {
      FREE.invokeExact(raw);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  private static boolean canary(Block block, long at) {
    return block.memory().get(java.lang.foreign.ValueLayout.JAVA_BYTE, at) == CANARY;
  }

  @Override
  public synchronized MemorySegment allocateHost(long bytes) {
    take();
    Arena arena = Arena.ofShared();
    MemorySegment memory = arena.allocate(bytes, 64);
    hostBlocks.put(memory.address(), arena);
    return memory;
  }

  @Override
  public synchronized void freeHost(MemorySegment memory) {
    Arena arena = hostBlocks.remove(memory.address());
    require(arena != null, "host memory is freed that is not allocated");
    arena.close();
  }

  @Override
  public synchronized void copyToDevice(long device, MemorySegment host, long bytes, long stream) {
    known(stream);
    copies.toDevice(stream, host.asSlice(0, bytes), at(device, bytes));
  }

  /** What was copied to the device in a stream is there for what the stream does next. */
  synchronized void arrive(long stream) {
    copies.arrive(stream);
  }

  @Override
  public synchronized void copyToHost(
      MemorySegment host, long device, long pitch, long bytes, long runs, long stream) {
    known(stream);
    require(pitch >= bytes, "runs overlap");
    arrive(stream);
    for (long run = 0; run < runs; run++) {
      copies.toHost(stream, host.asSlice(run * bytes, bytes), at(device + run * pitch, bytes));
    }
  }

  @Override
  public synchronized boolean reach(int device, int other) {
    require(entered.getOrDefault(other, 0) > 0, "a device is to be reached that has no context");
    if (peers) {
      reached.add(List.of(device, other));
    }
    return peers;
  }

  @Override
  public synchronized void copyFromDevice(
      long to, int toDevice, long from, int fromDevice, long bytes, long stream) {
    known(stream);
    require(current.get() == toDevice && toDevice != fromDevice, "a copy by another device");
    arrive(stream);
    require(owner(to) == toDevice && owner(from) == fromDevice, "memory of another device");
    at(to, bytes).copyFrom(at(from, bytes));
    ways.add(reached.contains(List.of(toDevice, fromDevice)) ? "direct" : "through the host");
  }

  /** The device whose block begins at an address or has it in it. */
  private int owner(long address) {
    return blocks.entrySet().stream()
        .filter(block ->
            block.getKey() <= address && address < block.getKey() + block.getValue().bytes())
        .map(block -> owners.get(block.getKey()))
        .findFirst()
        .orElse(-1);
  }

  @Override
  public synchronized void zero(long device, long bytes, long stream) {
    known(stream);
    arrive(stream);
    at(device, bytes).fill((byte) 0);
  }

  /** Device memory as a segment. */
  static MemorySegment at(long address, long bytes) {
    return MemorySegment.ofAddress(address).reinterpret(bytes);
  }

  @Override
  public long loadModule(MemorySegment image) {
    throw new AssertionError("the kernels of this device are built in");
  }

  /** Stands in for loading an image. */
  synchronized long module() {
    return handle();
  }

  @Override
  public synchronized void unloadModule(long module) {
    destroy(module);
  }

  @Override
  public synchronized long function(long module, String name) {
    known(module);
    long function =
        kernels == null ? ++next : kernels.find("entry_" + name).orElseThrow().address();
    names.put(function, name);
    return function;
  }

  @Override
  public synchronized void allowSharedMemory(long function, int bytes) {
    require(bytes <= sharedLimit(), names.get(function) + ": too much shared memory");
    shared.put(function, bytes);
  }

  /** {@code BoxMap} of host_shim.h. */
  @Override
  public synchronized void encode(BoxLayout layout, MemorySegment target) {
    int boxBytes = layout.boxColumns() * layout.element().bytes();
    require(target.address() % 64 == 0, "a layout is encoded where kernels cannot read it");
    require(layout.address() % 16 == 0 && layout.pitch() % 16 == 0, "rows that cannot be copied");
    require(layout.columns() > 0 && layout.rows() > 0, "boxes of an empty matrix");
    require(layout.boxColumns() <= 256 && layout.boxRows() <= 256, "a box is too large");
    require(boxBytes % 16 == 0 && (!layout.swizzled() || boxBytes == 128), "a box's rows");
    target.set(JAVA_LONG, 0, layout.address());
    target.set(JAVA_LONG, 8, layout.columns());
    target.set(JAVA_LONG, 16, layout.rows());
    target.set(JAVA_LONG, 24, layout.pitch());
    target.set(JAVA_INT, 32, layout.boxColumns());
    target.set(JAVA_INT, 36, layout.boxRows());
    target.set(JAVA_INT, 40, layout.element().bytes());
    target.set(JAVA_INT, 44, layout.swizzled() ? 1 : 0);
  }

  @Override
  public synchronized void launch(
      long function,
      int gridX,
      int gridY,
      int gridZ,
      int blockX,
      int blockY,
      int sharedBytes,
      long stream,
      MemorySegment parameters) {
    known(stream);
    String name = names.get(function);
    require(name != null, "an unknown kernel");
    require(contexts > 0, "no context");
    require(gridX > 0 && gridY > 0 && gridZ > 0, name + ": an empty grid");
    require(gridY <= MAX_GRID_YZ && gridZ <= MAX_GRID_YZ, name + ": too many blocks");
    require(blockX > 0 && blockY > 0 && blockX * blockY <= MAX_THREADS, name + ": block size");
    require(
        sharedBytes <= shared.getOrDefault(function, SHARED_WITHOUT_ASKING),
        name + ": more shared memory than allowed");
    if (recording != null) {
      MemorySegment own = copyOf(parameters);
      recording
          .launches()
          .add(() ->
              launch(function, gridX, gridY, gridZ, blockX, blockY, sharedBytes, stream, own));
      return;
    }
    launched.add(name);
    arrive(stream);
    if (kernels != null) {
      synchronized (LAUNCH) {
        try {
          ENTRY.invokeExact(
              MemorySegment.ofAddress(function),
              gridX,
              gridY,
              gridZ,
              blockX,
              blockY,
              sharedBytes,
              parameters);
        } catch (Throwable e) {
          throw new AssertionError(e);
        }
      }
    }
  }

  /** Launches are all that can be recorded here, and the memory that they take for themselves. */
  @Override
  public synchronized void beginRecording(long stream) {
    known(stream);
    require(recording == null, "a recording within another");
    recording = new Recorded(new ArrayList<>(), new ArrayList<>());
  }

  /** Arguments are the caller's again once a launch returns. */
  private static MemorySegment copyOf(MemorySegment parameters) {
    long bytes = (long) LaunchArguments.MAX_ARGUMENTS * LaunchArguments.SLOT;
    MemorySegment values = Arena.global().allocate(bytes, LaunchArguments.SLOT);
    values.copyFrom(parameters.getAtIndex(ADDRESS, 0).reinterpret(bytes));
    MemorySegment pointers = Arena.global().allocate(ADDRESS, LaunchArguments.MAX_ARGUMENTS);
    for (int i = 0; i < LaunchArguments.MAX_ARGUMENTS; i++) {
      pointers.setAtIndex(
          ADDRESS, i, values.asSlice((long) i * LaunchArguments.SLOT, LaunchArguments.SLOT));
    }
    return pointers;
  }

  @Override
  public synchronized long endRecording(long stream) {
    known(stream);
    long recorded = handle();
    recordings.put(recorded, recording);
    recording = null;
    return recorded;
  }

  @Override
  public synchronized void replay(long recorded, long stream) {
    known(recorded);
    recordings.get(recorded).launches().forEach(Runnable::run);
  }

  @Override
  public synchronized void destroyRecording(long recorded) {
    destroy(recorded);
    recordings.remove(recorded).freed().forEach(Runnable::run);
  }

  @Override
  public synchronized long createEvent() {
    return handle();
  }

  @Override
  public synchronized void record(long event, long stream) {
    known(event);
    known(stream);
    copies.record(event, stream);
  }

  @Override
  public synchronized void awaitEvent(long event) {
    known(event);
    copies.awaitEvent(event);
  }

  @Override
  public synchronized float elapsed(long from, long to) {
    known(from);
    known(to);
    return 0;
  }

  @Override
  public synchronized void destroyEvent(long event) {
    destroy(event);
  }

  private long handle() {
    take();
    handles.add(++next);
    return next;
  }

  private void destroy(long handle) {
    known(handle);
    handles.remove(handle);
  }

  private void known(long handle) {
    if (failed) {
      throw new CudaException("cuAnything", 700, "the device has failed");
    }
    require(handles.contains(handle), "an unknown handle");
  }

  private static void require(boolean condition, String message) {
    if (!condition) {
      throw new AssertionError(message);
    }
  }
}
