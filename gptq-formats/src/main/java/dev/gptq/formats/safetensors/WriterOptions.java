package dev.gptq.formats.safetensors;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableMap;

/**
 * How a checkpoint is written.
 *
 * @param overwrite whether an earlier checkpoint in the folder is replaced
 * @param shardLimit most bytes of tensors in one file; a larger tensor gets a file of its own
 * @param metadata texts for the header of each file, beside {@code format}
 */
public record WriterOptions(
    boolean overwrite, long shardLimit, ImmutableMap<String, String> metadata) {

  /** Five gigabytes a file, as most published checkpoints have. */
  public static final long DEFAULT_SHARD_LIMIT = 5_000_000_000L;

  /** Nothing is overwritten, {@link #DEFAULT_SHARD_LIMIT}, no further metadata. */
  public static final WriterOptions DEFAULT =
      new WriterOptions(false, DEFAULT_SHARD_LIMIT, ImmutableMap.of());

  /** Checks the limit. */
  public WriterOptions {
    Preconditions.checkArgument(shardLimit > 0, "a shard of %s bytes holds nothing", shardLimit);
  }

  /** The same with another choice whether to overwrite. */
  public WriterOptions withOverwrite(boolean other) {
    return new WriterOptions(other, shardLimit, metadata);
  }

  /** The same with another limit. */
  public WriterOptions withShardLimit(long other) {
    return new WriterOptions(overwrite, other, metadata);
  }

  /** The same with other metadata. */
  public WriterOptions withMetadata(ImmutableMap<String, String> other) {
    return new WriterOptions(overwrite, shardLimit, other);
  }
}
