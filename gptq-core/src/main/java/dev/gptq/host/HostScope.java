package dev.gptq.host;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** Tensors of a CPU backend, in blocks of a {@link HostMemory}. */
public final class HostScope implements TensorScope {
  private final HostMemory memory;
  private final HostScope parent;
  private final List<MemorySegment> blocks = new ArrayList<>();
  private final List<HostScope> children = new ArrayList<>();
  private boolean open = true;

  /** A scope without a parent. */
  public HostScope(HostMemory memory) {
    this(memory, null);
  }

  private HostScope(HostMemory memory, HostScope parent) {
    this.memory = memory;
    this.parent = parent;
  }

  @Override
  public Tensor allocate(DType type, int rows, int columns, Layout layout) {
    checkOpen();
    if (rows < 0 || columns < 0) {
      throw new IllegalArgumentException("a tensor cannot be " + rows + " x " + columns);
    }
    MemorySegment block = memory.acquire((long) rows * columns * type.bytes());
    blocks.add(block);
    return new HostTensor(this, block, 0, type, rows, columns, layout);
  }

  @Override
  public Tensor zeros(DType type, int rows, int columns, Layout layout) {
    HostTensor tensor = (HostTensor) allocate(type, rows, columns, layout);
    tensor.segment().asSlice(0, tensor.byteSize()).fill((byte) 0);
    return tensor;
  }

  @Override
  public Tensor upload(MemorySegment host, DType type, int rows, int columns, Layout layout) {
    long bytes = (long) rows * columns * type.bytes();
    if (host.byteSize() < bytes) {
      throw new IllegalArgumentException(
          "upload of " + bytes + " bytes from a segment of " + host.byteSize());
    }
    HostTensor tensor = (HostTensor) allocate(type, rows, columns, layout);
    MemorySegment.copy(host, 0, tensor.segment(), 0, bytes);
    return tensor;
  }

  @Override
  public TensorScope child() {
    checkOpen();
    HostScope child = new HostScope(memory, this);
    children.add(child);
    return child;
  }

  /** Whether tensors of this scope may be used. */
  public boolean isOpen() {
    return open;
  }

  @Override
  public void close() {
    if (!open) {
      return;
    }
    List.copyOf(children).forEach(HostScope::close);
    open = false;
    blocks.forEach(memory::release);
    blocks.clear();
    if (parent != null) {
      parent.children.remove(this);
    }
  }

  private void checkOpen() {
    if (!open) {
      throw new IllegalStateException("the tensor's scope is closed");
    }
  }
}
