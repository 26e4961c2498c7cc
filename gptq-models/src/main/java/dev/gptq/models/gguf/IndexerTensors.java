package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;

/**
 * Tensors of the indexers that choose which positions a query sees, which are not described but
 * copied. A block without them takes what the indexer of an earlier one chose.
 */
public final class IndexerTensors {
  /** What begins their names below a block of a checkpoint. */
  static final String BEGINNING = "self_attn.indexer.";

  /** Behind the name of the architecture: which blocks have an indexer. */
  public static final String TYPES = "attention.indexer.types";

  /** By which one is known in a file. */
  static final String KEYS = "indexer.attn_k.weight";

  private IndexerTensors() {}

  /** Their names below a block of a checkpoint; none if models of a family have no indexers. */
  public static ImmutableList<String> of(GgufFamily family) {
    return family.tensors().keySet().stream()
        .filter(name -> name.startsWith(BEGINNING))
        .sorted()
        .collect(ImmutableList.toImmutableList());
  }
}
