package dev.gptq.cli.fuzz;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import javax.management.JMException;
import javax.management.ObjectName;

/**
 * What an input must not make the program do: open files outside of its folder, as Linux reports
 * it, and take memory out of proportion.
 */
final class Guards implements AutoCloseable {
  private static final int NONBLOCK = 2048;
  private static final int OPENED = 0x20;
  private static final int FOLDER = 0x40000000;

  /** Of an event: watch, what happened, cookie and the length of the name behind them. */
  private static final int EVENT_BYTES = 4 * Integer.BYTES;

  private static final boolean LINUX = System.getProperty("os.name").equals("Linux");

  private final Arena arena = Arena.ofConfined();
  private final MemorySegment events = arena.allocate(4096, Integer.BYTES);
  private final MethodHandle read =
      function(
          "read",
          ValueLayout.JAVA_LONG,
          ValueLayout.JAVA_INT,
          ValueLayout.ADDRESS,
          ValueLayout.JAVA_LONG);
  private final int queue;
  private long allocated;

  /** Watches the files of a folder. */
  Guards(Path outside) {
    queue = LINUX ? watch(outside) : -1;
  }

  private int watch(Path folder) {
    MethodHandle init = function("inotify_init1", ValueLayout.JAVA_INT, ValueLayout.JAVA_INT);
    MethodHandle add =
        function(
            "inotify_add_watch",
            ValueLayout.JAVA_INT,
            ValueLayout.JAVA_INT,
            ValueLayout.ADDRESS,
            ValueLayout.JAVA_INT);
    int opened = (int) call(init, NONBLOCK);
    int watched = (int) call(add, opened, arena.allocateFrom(folder.toString()), OPENED);
    if (opened < 0 || watched < 0) {
      throw new IllegalStateException("Linux does not watch " + folder);
    }
    return opened;
  }

  @SuppressWarnings("restricted")
  private static MethodHandle function(
      String name, MemoryLayout result, MemoryLayout... arguments) {
    Linker linker = Linker.nativeLinker();
    return linker.downcallHandle(
        linker.defaultLookup().findOrThrow(name), FunctionDescriptor.of(result, arguments));
  }

  private static long call(MethodHandle function, Object... arguments) {
    try {
      return ((Number) function.invokeWithArguments(arguments)).longValue();
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  /**
   * Whether a file outside was opened since it was last asked. That the folder itself was opened
   * says nothing: whoever searches the whole disk does it.
   */
  boolean wasOutside() {
    boolean found = false;
    while (LINUX) {
      long length = call(read, queue, events, events.byteSize());
      if (length <= 0) {
        break;
      }
      for (long at = 0; at < length; ) {
        found |= (events.get(ValueLayout.JAVA_INT, at + Integer.BYTES) & FOLDER) == 0;
        at += EVENT_BYTES + events.get(ValueLayout.JAVA_INT, at + 3 * Integer.BYTES);
      }
    }
    return found;
  }

  /** Forgets what was opened, and begins to count what the heap gives. */
  void begin() {
    wasOutside();
    allocated = given();
  }

  /** What the heap has given since. */
  long heapBytes() {
    return given() - allocated;
  }

  /** What the heap has given to all threads. */
  private static long given() {
    return attribute(ManagementFactory.THREAD_MXBEAN_NAME, "TotalThreadAllocatedBytes");
  }

  /** What processors have worked for this process. */
  static long processorNanos() {
    return attribute(ManagementFactory.OPERATING_SYSTEM_MXBEAN_NAME, "ProcessCpuTime");
  }

  /** HotSpot's, asked for by name. */
  private static long attribute(String bean, String name) {
    try {
      Object value =
          ManagementFactory.getPlatformMBeanServer().getAttribute(new ObjectName(bean), name);
      return ((Number) value).longValue();
    } catch (JMException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The most memory that the process ever had; 0 where that cannot be known. */
  static long mostResidentBytes() {
    if (!LINUX) {
      return 0;
    }
    try {
      return Files.readAllLines(Path.of("/proc/self/status")).stream()
          .filter(line -> line.startsWith("VmHWM:"))
          .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) << 10)
          .findFirst()
          .orElse(0);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void close() {
    if (LINUX) {
      call(function("close", ValueLayout.JAVA_INT, ValueLayout.JAVA_INT), queue);
    }
    arena.close();
  }
}
