/* The start of a Cortex-M4 under qemu: data into RAM, then the test with output by semihosting. */

#include <stdint.h>
#include <stdlib.h>

extern uint32_t tg_data, tg_data_end, tg_data_load, __bss_start__, __bss_end__, tg_stack;
extern void initialise_monitor_handles(void);
extern int main(void);

void tg_start(void);

void tg_start(void) {
    uint32_t *from = &tg_data_load;
    for (uint32_t *to = &tg_data; to < &tg_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = &__bss_start__; to < &__bss_end__; to++) {
        *to = 0;
    }
    initialise_monitor_handles();
    exit(main());
}

typedef void (*tg_handler)(void);

__attribute__((section(".vectors"), used)) static const tg_handler vectors[2] = {
    (tg_handler)&tg_stack, tg_start};
