package dev.gptq.bench;

import com.google.common.base.Splitter;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * OpenBLAS in a process of its own, so that its threads and ours never compete. Reads one request a
 * line, {@code operation a b c executions}, and answers with the seconds that they took; operands
 * stay until a request with other sizes. {@link Reach} starts it.
 */
public final class Peer {
  private final OpenBlas blas = new OpenBlas();
  private final Readers readers;
  private String prepared = "";
  private Arena arena = Arena.ofShared();
  private MemorySegment x;
  private MemorySegment y;
  private MemorySegment z;

  private Peer(int threads) {
    readers = new Readers(blas, threads);
  }

  /** Answers until its input ends; the argument is the number of threads. */
  public static void main(String[] arguments) throws IOException {
    Peer peer = new Peer(Integer.parseInt(arguments[0]));
    System.out.println(peer.blas.description());
    BufferedReader requests =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = requests.readLine(); line != null; line = requests.readLine()) {
      System.out.println(peer.seconds(line));
    }
    peer.readers.close();
  }

  private double seconds(String request) {
    List<String> words = Splitter.on(' ').splitToList(request);
    int[] size = new int[3];
    for (int i = 0; i < 3; i++) {
      size[i] = Integer.parseInt(words.get(i + 1));
    }
    int executions = Integer.parseInt(words.get(4));
    String operands = words.get(0) + Arrays.toString(size);
    if (!operands.equals(prepared)) {
      prepare(words.get(0), size);
      prepared = operands;
      run(words.get(0), size);
    }
    double seconds = 0;
    for (int i = 0; i < executions; i++) {
      seconds += run(words.get(0), size);
    }
    return seconds;
  }

  private void prepare(String operation, int[] n) {
    arena.close();
    arena = Arena.ofShared();
    switch (operation) {
      case "gemm" -> {
        x = random((long) n[0] * n[2]);
        y = random((long) n[1] * n[2]);
        z = random((long) n[0] * n[1]);
      }
      case "gram" -> {
        x = random((long) n[0] * n[1]);
        z = random((long) n[0] * n[0]);
      }
      case "factor", "chain" -> {
        x = positiveDefinite(n[0]);
        z = random((long) n[0] * n[0]);
      }
      case "read" -> {
        x = random((long) n[0] << 18);
        y = random((long) n[0] << 18);
      }
      default -> throw new IllegalArgumentException("unknown operation '" + operation + "'");
    }
  }

  private double run(String operation, int[] n) {
    if (operation.equals("factor") || operation.equals("chain")) {
      MemorySegment.copy(x, 0, z, 0, x.byteSize());
    }
    // The readers are the threads then.
    blas.setThreads(operation.equals("read") ? 1 : readers.count());
    long start = System.nanoTime();
    switch (operation) {
      case "gemm" -> blas.gemmTransposed(n[0], n[1], n[2], x, y, z);
      case "gram" -> blas.gram(n[0], n[1], x, z);
      case "factor" -> blas.factor(n[0], z);
      case "chain" -> blas.factorChain(n[0], z);
      default -> readers.read(n[0] << 18, x, y);
    }
    return (System.nanoTime() - start) * 1e-9;
  }

  private MemorySegment random(long count) {
    MemorySegment values = arena.allocate(4 * count, 64);
    Random random = new Random(count);
    for (long i = 0; i < count; i++) {
      values.setAtIndex(ValueLayout.JAVA_FLOAT, i, random.nextFloat() - 0.5f);
    }
    return values;
  }

  /** Small random numbers and a diagonal that outweighs them. */
  private MemorySegment positiveDefinite(int n) {
    MemorySegment h = random((long) n * n);
    for (int i = 0; i < n; i++) {
      h.setAtIndex(ValueLayout.JAVA_FLOAT, (long) i * n + i, n);
    }
    return h;
  }
}
