package dev.gptq.models.tokenizer;

/** Bytes as the visible characters that byte-level tokenizers have for them since GPT-2. */
final class ByteText {
  private static final char[] VISIBLE = new char[256];

  static {
    int hidden = 0;
    for (int b = 0; b < VISIBLE.length; b++) {
      boolean visible = (b > ' ' && b < 0x7F) || (b > 0xA0 && b != 0xAD);
      VISIBLE[b] = (char) (visible ? b : 256 + hidden++);
    }
  }

  private ByteText() {}

  /** A character for each byte. */
  static String of(byte[] bytes) {
    char[] text = new char[bytes.length];
    for (int i = 0; i < text.length; i++) {
      text[i] = VISIBLE[bytes[i] & 0xFF];
    }
    return new String(text);
  }
}
