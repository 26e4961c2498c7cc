package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import com.google.common.util.concurrent.Uninterruptibles;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Holdings;
import dev.gptq.backend.Rehearsal;
import dev.gptq.backend.RowSteps;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.FirstChoices;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/**
 * Makes the first calls of what small experts are computed with, on a lane and a thread of their
 * own, while the host has yet to begin. A GPU's libraries load each of their kernels when it is
 * first called, and let all threads wait, and look for one for each shape that they have not met;
 * experts get ever other rows, in {@linkplain RowSteps a hundred numbers}. Numbers are of no
 * meaning: each group of layers of a block is solved with weights of zero, and experts are
 * multiplied with as many rows as they may get.
 *
 * <p>What goes wrong goes wrong again where it is needed, and is told there.
 */
public final class FirstCalls implements AutoCloseable {
  /** Rows that an expert is multiplied with at most; more of them have the same kernels. */
  private static final int MOST_ROWS = 8192;

  private final DecoderSpec spec;
  private final QuantizationSettings settings;
  private final long tokens;
  private final List<Thread> threads = new ArrayList<>();
  private volatile boolean stopped;

  /**
   * Calls that are yet to be made.
   *
   * @param windows that will go through the blocks
   */
  FirstCalls(DecoderSpec spec, QuantizationSettings settings, List<int[]> windows) {
    this.spec = spec;
    this.settings = settings;
    this.tokens = windows.stream().mapToLong(window -> window.length).sum();
  }

  /**
   * Begins, where a device would wait for a host that queues the work of small experts.
   *
   * @param windows that will go through the blocks
   */
  public static FirstCalls begin(
      Backend backend, DecoderSpec spec, QuantizationSettings settings, List<int[]> windows) {
    FirstCalls calls = new FirstCalls(spec, settings, windows);
    if (!(backend instanceof Rehearsal)
        && settings.method() == QuantizationSettings.Method.GPTQ
        && calls.tokens > 0
        && backend.copiesBesideWork()
        && Dealing.lanes(backend, spec) > 1) {
      calls.beside("gptq-first-calls", () -> calls.makeOnLane(backend));
      calls.beside("gptq-first-choices", calls::choose);
    }
    return calls;
  }

  private void beside(String name, Runnable work) {
    threads.add(Thread.ofPlatform().daemon().name(name).start(work));
  }

  /** The host has its part, too: it chooses experts. */
  private void choose() {
    spec.blocks().stream()
        .flatMap(block -> block.steps().stream())
        .filter(Step.Route.class::isInstance)
        .map(Step.Route.class::cast)
        .findFirst()
        .ifPresent(route -> FirstChoices.make(route, () -> stopped));
  }

  private void makeOnLane(Backend backend) {
    try (Backend lane = backend.newLane()) {
      make(lane);
    } catch (RuntimeException e) {
      stopped = true;
    }
  }

  /** Makes them all, on the lane's thread. */
  void make(Backend lane) {
    spec.blocks().stream()
        .filter(block -> Stretch.of(block.steps()).stream().anyMatch(Stretch::isExpert))
        .findFirst()
        .ifPresent(block -> make(lane, block));
  }

  /** Rows and columns of a group's weights. */
  private record Shape(List<Integer> rows, int columns) {}

  private void make(Backend lane, BlockSpec block) {
    Set<Shape> known = new HashSet<>();
    for (Stretch stretch : Stretch.of(block.steps())) {
      for (int index : stretch.groups(block.steps())) {
        Step.Linears group = (Step.Linears) block.steps().get(index);
        Shape shape =
            new Shape(
                group.modules().stream().map(LinearSpec::outputs).toList(),
                group.modules().getFirst().inputs());
        if (!stopped && known.add(shape)) {
          if (stretch.isExpert()) {
            multiply(lane, shape);
          }
          solve(lane, group, settings.optionsOf(block.nameOf(group.modules().getFirst())));
        }
      }
    }
  }

  /** Products of the forward pass and Gram matrices, of few rows and of many. */
  private void multiply(Backend lane, Shape shape) {
    int most = Math.toIntExact(Math.min(MOST_ROWS, tokens));
    DType type = lane.activationType();
    try (Holdings after = new Holdings();
        TensorScope scope = lane.newScope()) {
      after.add(lane::synchronize);
      Tensor x = scope.zeros(type, most, shape.columns(), Layout.ROW_MAJOR);
      Tensor sum = scope.zeros(DType.F32, shape.columns(), shape.columns(), Layout.ROW_MAJOR);
      for (int outputs : new HashSet<>(shape.rows())) {
        Tensor weight = scope.zeros(type, outputs, shape.columns(), Layout.ROW_MAJOR);
        Tensor y = scope.rowMajor(type, most, outputs);
        for (int rows = 1; rows <= most && !stopped; rows = RowSteps.up(rows + 1)) {
          lane.linalg().gemm(1, x.rows(0, rows), weight.transposed(), 0, y.rows(0, rows));
        }
      }
      for (int rows = 1; rows <= most && !stopped; rows = RowSteps.up(rows + 1)) {
        lane.linalg().accumulateGram(1, x.rows(0, rows), sum);
      }
    }
  }

  private static void solve(Backend lane, Step.Linears group, GptqOptions options) {
    if (options.blocks().isPresent()) {
      // Scales of super-blocks are searched by the host.
      return;
    }
    List<ModuleSolve.Subject> modules = new ArrayList<>();
    for (LinearSpec module : group.modules()) {
      modules.add(new ModuleSolve.Subject(0, module.module(), module.module(), module.outputs()));
    }
    int rows = modules.stream().mapToInt(ModuleSolve.Subject::rows).sum();
    int columns = group.modules().getFirst().inputs();
    float[] ones = new float[columns];
    Arrays.fill(ones, 1);
    try (Holdings after = new Holdings();
        TensorScope scope = lane.newScope()) {
      after.add(lane::synchronize);
      Tensor matrix = scope.zeros(DType.F32, columns, columns, Layout.ROW_MAJOR);
      lane.linalg().addToDiagonal(scope.upload(ones), matrix);
      new ModuleSolve(lane, options, matrices -> unpacked(matrices.size()))
          .solve(
              modules,
              scope.zeros(DType.F32, rows, columns, Layout.COLUMN_MAJOR),
              new ModuleSolve.Statistics(
                  Optional.of(Hessian.of(lane, matrix, columns)),
                  ImmutableList.of(),
                  Optional.empty(),
                  true),
              Optional.empty(),
              scope);
    }
  }

  /** Nobody asks for the codes. */
  private static List<CompletableFuture<PackedMatrix>> unpacked(int count) {
    List<CompletableFuture<PackedMatrix>> none = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      none.add(new CompletableFuture<>());
    }
    return none;
  }

  /** Stops, and waits until nothing is on its way. */
  @Override
  public void close() {
    stopped = true;
    threads.forEach(Uninterruptibles::joinUninterruptibly);
  }
}
