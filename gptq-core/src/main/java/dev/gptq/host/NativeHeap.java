package dev.gptq.host;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Blocks of the C library's heap, of undefined contents. {@link Arena#allocate} writes zeros into
 * all it gives, on one thread, and gives no more than {@code -XX:MaxDirectMemorySize}, by default a
 * quarter of the machine.
 */
@SuppressWarnings("restricted")
public final class NativeHeap {
  private static final MethodHandle MALLOC =
      function("malloc", FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_LONG));
  private static final MethodHandle FREE =
      function("free", FunctionDescriptor.ofVoid(ValueLayout.ADDRESS));

  private NativeHeap() {}

  private static MethodHandle function(String name, FunctionDescriptor type) {
    Linker linker = Linker.nativeLinker();
    return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), type);
  }

  /**
   * A block that lives as long as the arena.
   *
   * @param alignment a power of two
   * @throws OutOfMemoryError if the system has no room for it
   */
  public static MemorySegment allocate(long bytes, long alignment, Arena arena) {
    MemorySegment raw = malloc(bytes + alignment - 1);
    if (raw.equals(MemorySegment.NULL)) {
      throw new OutOfMemoryError("malloc");
    }
    MemorySegment block = raw.reinterpret(bytes + alignment - 1, arena, NativeHeap::free);
    return block.asSlice(-raw.address() & (alignment - 1), bytes);
  }

  private static MemorySegment malloc(long bytes) {
    try {
      return (MemorySegment) MALLOC.invokeExact(bytes);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError("malloc could not be linked", e);
    }
  }

  private static void free(MemorySegment block) {
    try {
      FREE.invokeExact(block);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError("free could not be linked", e);
    }
  }
}
