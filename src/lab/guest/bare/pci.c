/* PCI configuration space of bus 0 by ports 0xcf8 and 0xcfc. */
#include "machine.h"

u32 pci_read(u32 device, u32 offset)
{
    out32(0xcf8, 0x80000000u | device << 8 | offset);
    return in32(0xcfc);
}

void pci_write(u32 device, u32 offset, u32 value)
{
    out32(0xcf8, 0x80000000u | device << 8 | offset);
    out32(0xcfc, value);
}

u32 pci_find(u32 vendor_device)
{
    for (u32 device = 0; device < 256; device++) {
        if (pci_read(device, 0) == vendor_device) return device;
    }
    return ~0u;
}
