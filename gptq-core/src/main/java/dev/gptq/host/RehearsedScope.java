package dev.gptq.host;

import dev.gptq.backend.Footprint;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;

/** Tensors without memory, which count as {@link HostMemory} would count them. */
final class RehearsedScope implements TensorScope {
  private final Footprint footprint;
  private final List<RehearsedScope> children = new ArrayList<>();
  private RehearsedScope parent;
  private long held;

  RehearsedScope(Footprint footprint) {
    this.footprint = footprint;
  }

  @Override
  public Tensor allocate(DType type, int rows, int columns, Layout layout) {
    long bytes = HostMemory.sizeClass((long) rows * columns * type.bytes());
    footprint.add(bytes);
    held += bytes;
    return new RehearsedTensor(type, rows, columns, layout);
  }

  @Override
  public Tensor zeros(DType type, int rows, int columns, Layout layout) {
    return allocate(type, rows, columns, layout);
  }

  @Override
  public Tensor upload(MemorySegment host, DType type, int rows, int columns, Layout layout) {
    return allocate(type, rows, columns, layout);
  }

  @Override
  public Tensor upload(
      Supplier<MemorySegment> host, DType type, int rows, int columns, Layout layout) {
    return allocate(type, rows, columns, layout);
  }

  @Override
  public TensorScope child() {
    RehearsedScope child = new RehearsedScope(footprint);
    child.parent = this;
    children.add(child);
    return child;
  }

  @Override
  public void close() {
    List.copyOf(children).forEach(RehearsedScope::close);
    footprint.add(-held);
    held = 0;
    if (parent != null) {
      parent.children.remove(this);
    }
  }
}
