package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.function.IntConsumer;

/**
 * A language model with the weights of one block at a time in a backend's memory, for models that
 * do not fit whole. All windows go through a block before the next is loaded, so that every weight
 * is read once; between blocks the residual stream of all of them is kept, {@code tokens × hidden}.
 */
public final class BlockwiseDecoder implements TextModel {
  private final Backend backend;
  private final DecoderSpec spec;
  private final WeightSource source;

  /** A model of which nothing is loaded yet. */
  public BlockwiseDecoder(Backend backend, DecoderSpec spec, WeightSource source) {
    this.backend = backend;
    this.spec = spec;
    this.source = source;
  }

  @Override
  public DecoderSpec spec() {
    return spec;
  }

  @Override
  public Reading read(List<List<int[]>> batches, IntConsumer progress) {
    TensorScope scope = backend.newScope();
    boolean read = false;
    try {
      RopeTables ropes = new RopeTables(scope);
      List<Registers> registers = embed(batches, ropes, scope);
      Progress done = new Progress(spec.blocks().size(), progress);
      for (BlockSpec block : spec.blocks()) {
        run(block, ropes, batches, registers, done);
      }
      Reading reading = new Finished(batches, registers, scope);
      read = true;
      return reading;
    } finally {
      if (!read) {
        scope.close();
      }
    }
  }

  private List<Registers> embed(List<List<int[]>> batches, RopeTables ropes, TensorScope scope) {
    try (TensorScope local = backend.newScope()) {
      Opening opening = new Opening(backend, spec, source, ropes, local);
      List<Registers> registers = new ArrayList<>();
      for (List<int[]> batch : batches) {
        Registers embedded = new Registers(backend, scope);
        opening.embed(batch, embedded, local);
        registers.add(embedded);
      }
      return registers;
    }
  }

  private void run(
      BlockSpec blockSpec,
      RopeTables ropes,
      List<List<int[]>> batches,
      List<Registers> registers,
      Progress done) {
    try (TensorScope local = backend.newScope()) {
      Block block = new Block(backend, blockSpec, source, ropes, local);
      for (int i = 0; i < batches.size(); i++) {
        block.run(registers.get(i), Pass.windows(batches.get(i).size()));
        done.add(batches.get(i).size());
      }
    }
  }

  /** Nothing is loaded between two readings. */
  @Override
  public void close() {}

  /** Tells passes of windows through blocks as windows. */
  private static final class Progress {
    private final int blocks;
    private final IntConsumer windows;
    private long passes;

    Progress(int blocks, IntConsumer windows) {
      this.blocks = blocks;
      this.windows = windows;
    }

    void add(int count) {
      passes += count;
      windows.accept(Math.toIntExact(passes / blocks));
    }
  }

  /** Batches behind the last block. */
  private final class Finished implements Reading {
    private final Queue<List<int[]>> batches;
    private final Queue<Registers> registers;
    private final TensorScope scope;
    private final Ends ends;

    Finished(List<List<int[]>> batches, List<Registers> registers, TensorScope scope) {
      this.batches = new ArrayDeque<>(batches);
      this.registers = new ArrayDeque<>(registers);
      this.scope = scope;
      this.ends = new Ends(backend, spec, source, scope);
    }

    @Override
    public Outputs next() {
      return new Outputs(backend, ends, batches.remove(), registers.remove());
    }

    @Override
    public void close() {
      scope.close();
    }
  }
}
