package dev.gptq.formats.safetensors;

import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.json.JsonMapper;

/**
 * The JSON of headers and indexes: shallow documents, so deep nesting is an attack, and no key
 * occurs twice.
 */
final class Json {
  /** Reader and writer of headers and indexes. */
  static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(32)
                          .maxNameLength(10_000)
                          .maxStringLength(10_000_000)
                          .maxNumberLength(40)
                          .build())
                  .build())
          .build();

  private Json() {}
}
