package dev.gptq.cli.options;

import dev.gptq.cli.console.UsageException;
import dev.gptq.quantizer.gguf.Mixture;
import dev.gptq.quantizer.run.Quantization;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/** The options that name types of llama.cpp in place of bits and groups. */
public final class TypeOption {
  /** What a type says itself. */
  private static final List<String> SAID =
      List.of("--bits", "--group-size", "--sym", "--asym", "--scheme");

  @Option(
      names = "--type",
      paramLabel = "NAME",
      description =
          "write GGUF with the types of this mixture of llama.cpp in place of --bits, --group-size and"
              + " --sym: Q2_K, Q3_K_S, Q3_K_M, Q3_K_L, Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M, Q6_K;"
              + " Q3_K, Q4_K, Q5_K are those with _M. Embedding and output layer get Q6_K unless"
              + " --embedding-type says something else")
  private String type;

  @Option(
      names = "--pure",
      description =
          "with --type, the type that most modules have for all of them, and embedding and output"
              + " layer as they are")
  private boolean pure;

  /** Whether a type was asked for, which GGUF alone has. */
  public boolean given() {
    return type != null;
  }

  /** How files of the type are called. */
  public Optional<String> name() {
    return Optional.ofNullable(type).map(name -> name.toUpperCase(Locale.ROOT));
  }

  /** Hands them on; throws if other options contradict them. */
  public void apply(Quantization quantization, CommandSpec spec) {
    if (type == null) {
      if (pure) {
        throw new UsageException("--pure needs --type");
      }
      return;
    }
    for (String option : SAID) {
      if (spec.commandLine().getParseResult().hasMatchedOption(option)) {
        throw new UsageException(
            "--type %s says bits, groups and grid itself; leave out %s".formatted(type, option));
      }
    }
    quantization.mixture(mixture()).pure(pure);
  }

  private Mixture mixture() {
    String wanted = type.toUpperCase(Locale.ROOT);
    return Stream.of(wanted, wanted + "_M")
        .flatMap(name -> Arrays.stream(Mixture.values()).filter(m -> m.name().equals(name)))
        .findFirst()
        .orElseThrow(() ->
            new UsageException(
                "--type must be one of %s but is %s"
                    .formatted(
                        Arrays.stream(Mixture.values())
                            .map(Mixture::name)
                            .collect(Collectors.joining(", ")),
                        type)));
  }
}
