package dev.gptq.cli.options;

import dev.gptq.cli.console.UsageException;
import dev.gptq.quantizer.export.Publication;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** What the model card says, and how large files are. */
public final class PublicationOptions {
  /** Sizes in powers of ten, as the hub counts. */
  static final class SizeConverter implements ITypeConverter<Long> {
    private static final Pattern SIZE = Pattern.compile("(\\d{1,12})(GB|MB)");

    @Override
    public Long convert(String value) {
      Matcher matcher = SIZE.matcher(value);
      if (!matcher.matches() || Long.parseLong(matcher.group(1)) == 0) {
        throw new TypeConversionException("must be a size such as 5GB or 500MB but is " + value);
      }
      return Long.parseLong(matcher.group(1))
          * (matcher.group(2).equals("GB") ? 1_000_000_000L : 1_000_000L);
    }
  }

  @Option(
      names = "--base-model",
      paramLabel = "OWNER/NAME",
      description =
          "what the original is called on the hub, for the model card (default: known of models that"
              + " were loaded from there)")
  private String baseModel;

  @Option(
      names = "--shard-size",
      paramLabel = "SIZE",
      converter = SizeConverter.class,
      description =
          "most that a file of weights holds, such as 5GB or 500MB (default: 5GB; GGUF is one file where"
              + " this is not given, else several as llama.cpp names them)")
  private Long shardSize;

  /** Most bytes of tensors in one file, where that was asked for. */
  public OptionalLong shardSize() {
    return shardSize == null ? OptionalLong.empty() : OptionalLong.of(shardSize);
  }

  /** Throws if something is to be said on a card where there is none. */
  public void requireNoCard() {
    if (baseModel != null) {
      throw new UsageException(
          "--base-model is for the model card, which a single GGUF file has not; leave it out");
    }
  }

  /** What was asked for. */
  public Publication publication() {
    Publication publication = Publication.DEFAULT;
    if (baseModel != null) {
      publication = publication.withBaseModel(baseModel);
    }
    return shardSize == null ? publication : publication.withShardLimit(shardSize);
  }
}
