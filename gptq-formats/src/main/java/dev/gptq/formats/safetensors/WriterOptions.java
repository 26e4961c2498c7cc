package dev.gptq.formats.safetensors;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import java.nio.file.Path;

/**
 * How a checkpoint is written.
 *
 * @param overwrite whether an earlier checkpoint of this program in the folder is replaced
 * @param shardLimit most bytes of tensors in one file; a larger tensor gets a file of its own
 * @param metadata texts for the header of each file; its {@code format} is {@code pt} unless given
 * @param sources files and folders that are read meanwhile; the output may not be one of them, nor
 *     contain one, nor lie inside one
 * @param sideFiles names that the writer will be given beside those that every model has; files of
 *     these names may be replaced
 */
public record WriterOptions(
    boolean overwrite,
    long shardLimit,
    ImmutableMap<String, String> metadata,
    ImmutableSet<Path> sources,
    ImmutableSet<String> sideFiles) {

  /** Five gigabytes a file, as most published checkpoints have. */
  public static final long DEFAULT_SHARD_LIMIT = 5_000_000_000L;

  /** Nothing is overwritten, {@link #DEFAULT_SHARD_LIMIT}, no further metadata, no sources. */
  public static final WriterOptions DEFAULT =
      new WriterOptions(
          false, DEFAULT_SHARD_LIMIT, ImmutableMap.of(), ImmutableSet.of(), ImmutableSet.of());

  /** Checks the limit. */
  public WriterOptions {
    Preconditions.checkArgument(shardLimit > 0, "a shard of %s bytes holds nothing", shardLimit);
  }

  /** The same with another choice whether to overwrite. */
  public WriterOptions withOverwrite(boolean other) {
    return new WriterOptions(other, shardLimit, metadata, sources, sideFiles);
  }

  /** The same with another limit. */
  public WriterOptions withShardLimit(long other) {
    return new WriterOptions(overwrite, other, metadata, sources, sideFiles);
  }

  /** The same with other metadata. */
  public WriterOptions withMetadata(ImmutableMap<String, String> other) {
    return new WriterOptions(overwrite, shardLimit, other, sources, sideFiles);
  }

  /** The same with other sources. */
  public WriterOptions withSources(ImmutableSet<Path> other) {
    return new WriterOptions(overwrite, shardLimit, metadata, other, sideFiles);
  }

  /** The same with other names of side files. */
  public WriterOptions withSideFiles(ImmutableSet<String> other) {
    return new WriterOptions(overwrite, shardLimit, metadata, sources, other);
  }
}
