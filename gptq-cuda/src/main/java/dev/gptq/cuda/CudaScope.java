package dev.gptq.cuda;

import com.google.common.base.Preconditions;
import dev.gptq.backend.Holdings;
import dev.gptq.backend.RowSteps;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;

/** Tensors in device memory. Closing queues the giving back; nothing waits. */
final class CudaScope implements TensorScope {
  private final CudaContext context;
  private final CudaScope parent;
  private final List<Long> blocks = new ArrayList<>();
  private final Set<CudaScope> children = new LinkedHashSet<>();
  private boolean open = true;

  /** A scope without a parent. */
  CudaScope(CudaContext context) {
    this(context, null);
  }

  private CudaScope(CudaContext context, CudaScope parent) {
    this.context = context;
    this.parent = parent;
  }

  @Override
  public Tensor allocate(DType type, int rows, int columns, Layout layout) {
    checkOpen();
    Preconditions.checkArgument(
        rows >= 0 && columns >= 0, "a tensor cannot be %s x %s", rows, columns);
    int spare = spareRows(type, rows, layout);
    long bytes = ((long) rows + spare) * columns * type.bytes();
    return CudaTensor.dense(this, reserve(bytes), type, rows, columns, layout, spare);
  }

  /** Products round rows of activations up; see {@link MatrixProducts}. */
  private static int spareRows(DType type, int rows, Layout layout) {
    boolean activations = layout == Layout.ROW_MAJOR && (type == DType.BF16 || type == DType.F16);
    return activations ? RowSteps.up(rows) - rows : 0;
  }

  /** The address of a block that lives as long as this scope. */
  long reserve(long bytes) {
    checkOpen();
    long address = context.memory().acquire(bytes);
    blocks.add(address);
    return address;
  }

  @Override
  public Tensor zeros(DType type, int rows, int columns, Layout layout) {
    CudaTensor tensor = (CudaTensor) allocate(type, rows, columns, layout);
    if (tensor.elements() > 0) {
      CudaQueue queue = context.queue();
      queue.driver().zero(tensor.address(), tensor.byteSize(), queue.stream());
      queue.queued("zeros");
    }
    return tensor;
  }

  @Override
  public Tensor upload(MemorySegment host, DType type, int rows, int columns, Layout layout) {
    long bytes = (long) rows * columns * type.bytes();
    Preconditions.checkArgument(
        host.byteSize() >= bytes,
        "upload of %s bytes from a segment of %s",
        bytes,
        host.byteSize());
    CudaTensor tensor = (CudaTensor) allocate(type, rows, columns, layout);
    context.staging().upload(host, tensor.address(), bytes);
    context.queue().queued("upload");
    return tensor;
  }

  @Override
  public Tensor upload(
      Supplier<MemorySegment> host, DType type, int rows, int columns, Layout layout) {
    return context.staging().takesData()
        ? upload(host.get(), type, rows, columns, layout)
        : allocate(type, rows, columns, layout);
  }

  @Override
  public TensorScope child() {
    checkOpen();
    CudaScope child = new CudaScope(context, this);
    children.add(child);
    return child;
  }

  @Override
  public void close() {
    if (!open) {
      return;
    }
    open = false;
    if (parent != null) {
      parent.children.remove(this);
    }
    try (Holdings all = new Holdings()) {
      blocks.forEach(block -> all.add(() -> context.memory().release(block)));
      List.copyOf(children).forEach(child -> all.add(child::close));
      blocks.clear();
    }
  }

  CudaContext context() {
    return context;
  }

  /** Number of scopes below this one that are still open. */
  int openChildren() {
    return children.size();
  }

  void checkOpen() {
    if (!open) {
      throw new IllegalStateException("the tensor's scope is closed");
    }
  }
}
