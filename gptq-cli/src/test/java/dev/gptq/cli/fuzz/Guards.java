package dev.gptq.cli.fuzz;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
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
  private static final boolean LINUX = System.getProperty("os.name").equals("Linux");

  private final Arena arena = Arena.ofConfined();
  private final MemorySegment events = arena.allocate(4096);
  private final int queue;
  private long allocated;

  /** Watches the files of a folder. */
  Guards(Path outside) {
    queue = LINUX ? watch(outside) : -1;
  }

  private int watch(Path folder) {
    int opened = (int) call("inotify_init1", NONBLOCK);
    int watched =
        (int) call("inotify_add_watch", opened, arena.allocateFrom(folder.toString()), OPENED);
    if (opened < 0 || watched < 0) {
      throw new IllegalStateException("Linux does not watch " + folder);
    }
    return opened;
  }

  @SuppressWarnings("restricted")
  private static long call(String function, Object... arguments) {
    try {
      FunctionDescriptor type =
          switch (function) {
            case "inotify_init1", "close" ->
                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT);
            case "inotify_add_watch" ->
                FunctionDescriptor.of(
                    ValueLayout.JAVA_INT,
                    ValueLayout.JAVA_INT,
                    ValueLayout.ADDRESS,
                    ValueLayout.JAVA_INT);
            default ->
                FunctionDescriptor.of(
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_INT,
                    ValueLayout.ADDRESS,
                    ValueLayout.JAVA_LONG);
          };
      Linker linker = Linker.nativeLinker();
      MethodHandle handle =
          linker.downcallHandle(linker.defaultLookup().findOrThrow(function), type);
      return ((Number) handle.invokeWithArguments(arguments)).longValue();
    } catch (Throwable e) {
      throw new IllegalStateException(function + " cannot be called", e);
    }
  }

  /** Whether a file outside was opened since it was last asked. */
  boolean wasOutside() {
    return LINUX && call("read", queue, events, events.byteSize()) > 0;
  }

  /** Begins to count what the heap gives. */
  void begin() {
    allocated = given();
  }

  /** What the heap has given since. */
  long heapBytes() {
    return given() - allocated;
  }

  /** What the heap has given to all threads; HotSpot's, asked for by name. */
  private static long given() {
    try {
      Object bytes =
          ManagementFactory.getPlatformMBeanServer()
              .getAttribute(
                  new ObjectName(ManagementFactory.THREAD_MXBEAN_NAME),
                  "TotalThreadAllocatedBytes");
      return ((Number) bytes).longValue();
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
      call("close", queue);
    }
    arena.close();
  }
}
