/* One JSON object a line on standard output, data in hexadecimal. */
#include <stdio.h>
#include <stdlib.h>

static inline void print_hex(const char *name, const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    char *hex = malloc(2 * size + 1);
    for (size_t i = 0; i < size; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * size] = '\0';
    printf(", \"%s\": \"%s\"", name, hex);
    free(hex);
}

static inline void say(const char *event)
{
    printf("{\"event\": \"%s\"}\n", event);
    fflush(stdout);
}

static inline void say_data(const char *event, const void *data, size_t size)
{
    printf("{\"event\": \"%s\"", event);
    print_hex("data", data, size);
    printf("}\n");
    fflush(stdout);
}

static inline void give_up(const char *doing, const char *why)
{
    fprintf(stderr, "%s: %s\n", doing, why);
    exit(1);
}
