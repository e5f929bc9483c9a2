/* Where a Cortex-M4 under qemu begins: the end of RAM, and newlib's start with semihosting. */

typedef void (*tg_handler)(void);

extern void tg_stack(void); /* its address is the end of RAM */
extern void _mainCRTStartup(void);

extern const tg_handler tg_vectors[2];

__attribute__((section(".vectors"), used)) const tg_handler tg_vectors[2] = {
    tg_stack, _mainCRTStartup};
