package dev.gptq.cuda.driver;

import java.lang.foreign.MemorySegment;

/**
 * The part of NVIDIA's driver API that the backend uses, one method a call. Device addresses and
 * handles are {@code long}s. An interface, so that a stand-in can check or emulate the calls on a
 * machine without a GPU. Threads that have entered the context may share it. Every method but
 * {@link #allocate} throws {@link CudaException} if the call fails; failures of queued work show in
 * later calls.
 */
public interface CudaDriver {
  /** {@code CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT}. */
  int MULTIPROCESSORS = 16;

  /** {@code CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR}. */
  int CAPABILITY_MAJOR = 75;

  /** {@code CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR}. */
  int CAPABILITY_MINOR = 76;

  /** {@code CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN}. */
  int SHARED_MEMORY = 97;

  /** {@code CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED}. */
  int MEMORY_POOLS = 115;

  /** The newest CUDA version the driver knows: {@code 1000·major + 10·minor}. */
  int version();

  /** Number of devices. */
  int devices();

  /** A device's name. */
  String deviceName(int device);

  /** One of the attributes named above. */
  int attribute(int attribute, int device);

  /** Bytes of a device's memory. */
  long totalMemory(int device);

  /** Bytes that neither this process nor another has taken of the current context's device. */
  long freeMemory();

  /** Retains the device's primary context and makes it current on this thread. */
  void enterContext(int device);

  /** Releases what {@link #enterContext} retained. */
  void leaveContext(int device);

  /** A new stream that does not wait for the default stream. */
  long createStream();

  /** Destroys a stream. */
  void destroyStream(long stream);

  /** Waits for all work in a stream. */
  void synchronize(long stream);

  /** Lets the device's memory pool keep what is freed until {@link #trimPool}. */
  void keepFreedMemory(int device);

  /** Bytes that the device's memory pool holds. */
  long pooledMemory(int device);

  /** Gives the free memory of the device's pool back. */
  void trimPool(int device);

  /** Memory from the pool, in the order of the stream; 0 if there is no room. */
  long allocate(long bytes, long stream);

  /** Gives memory of {@link #allocate} back, in the order of the stream. */
  void free(long address, long stream);

  /** Page-locked host memory. */
  MemorySegment allocateHost(long bytes);

  /** Frees memory of {@link #allocateHost}. */
  void freeHost(MemorySegment memory);

  /** Queues a copy from page-locked host memory. */
  void copyToDevice(long device, MemorySegment host, long bytes, long stream);

  /**
   * Queues a copy of {@code runs} runs of {@code bytes} each, {@code pitch} bytes apart on the
   * device and dense in page-locked host memory.
   */
  void copyToHost(MemorySegment host, long device, long pitch, long bytes, long runs, long stream);

  /**
   * Lets a device copy what another's memory pool holds without a detour through the host, if they
   * are connected that way; both contexts are retained.
   *
   * @return whether they are
   */
  boolean reach(int device, int other);

  /**
   * Queues a copy from another device, to one whose context is current. Where the one does not
   * {@link #reach} the other, the driver takes it through page-locked host memory.
   */
  void copyFromDevice(long to, int toDevice, long from, int fromDevice, long bytes, long stream);

  /** Queues filling memory with zeros. */
  void zero(long device, long bytes, long stream);

  /** Loads a fatbin, a cubin or zero-terminated PTX. */
  long loadModule(MemorySegment image);

  /** Unloads a module. */
  void unloadModule(long module);

  /** The kernel of that name. */
  long function(long module, String name);

  /** Allows a kernel that much dynamic shared memory. */
  void allowSharedMemory(long function, int bytes);

  /**
   * Encodes a layout as kernels want it, {@link BoxLayout#ENCODED_BYTES} at a multiple of 64:
   * {@code cuTensorMapEncodeTiled}.
   */
  void encode(BoxLayout layout, MemorySegment target);

  /** Queues a kernel. {@code parameters} is an array of pointers to the kernel's arguments. */
  void launch(
      long function,
      int gridX,
      int gridY,
      int gridZ,
      int blockX,
      int blockY,
      int sharedBytes,
      long stream,
      MemorySegment parameters);

  /** From now on what this thread queues in a stream is noted and not run: a CUDA graph. */
  void beginRecording(long stream);

  /** Ends {@link #beginRecording}. Returns what was noted, ready to be queued. */
  long endRecording(long stream);

  /** Queues all that was noted. */
  void replay(long recording, long stream);

  /** Destroys what was noted. */
  void destroyRecording(long recording);

  /** A new event. */
  long createEvent();

  /** Queues an event. */
  void record(long event, long stream);

  /** Waits for an event. */
  void awaitEvent(long event);

  /** Milliseconds between two events that have passed. */
  float elapsed(long from, long to);

  /** Destroys an event. */
  void destroyEvent(long event);
}
