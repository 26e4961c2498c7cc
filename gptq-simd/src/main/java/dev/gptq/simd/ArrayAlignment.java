package dev.gptq.simd;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Where vectors of an array begin at a cache line. An array's elements begin 16 bytes behind an
 * address that is a multiple of 8, and a vector of 64 bytes that lies in two lines is read twice.
 *
 * <p>A C function that returns its argument tells the address. The garbage collector may move the
 * array afterwards: it is only slower then, until somebody asks again.
 */
@SuppressWarnings("restricted")
final class ArrayAlignment {
  /** Elements that an array needs beyond those in use. */
  static final int SLACK = 15;

  private static final int LINE = 64;
  private static final MethodHandle MEMSET =
      Linker.nativeLinker()
          .downcallHandle(
              Linker.nativeLinker().defaultLookup().findOrThrow("memset"),
              FunctionDescriptor.of(
                  ValueLayout.ADDRESS,
                  ValueLayout.ADDRESS,
                  ValueLayout.JAVA_INT,
                  ValueLayout.JAVA_LONG),
              Linker.Option.critical(true));

  private ArrayAlignment() {}

  /** The first element at a cache line, from 0 to {@link #SLACK}. */
  static int first(float[] array) {
    return (int) (-address(MemorySegment.ofArray(array)) & (LINE - 1)) / Float.BYTES;
  }

  private static long address(MemorySegment array) {
    try {
      // Sets no byte.
      return ((MemorySegment) MEMSET.invokeExact(array, 0, 0L)).address();
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError("memset could not be linked", e);
    }
  }
}
