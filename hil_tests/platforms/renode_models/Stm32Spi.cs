// The SPI controller of the STM32F4 as a master: ST's RM0090, chapter 28. Renode's own has a queue where the chip has
// one data register: what came in while software only sent was then taken for the answer, so that MicroPython read a
// flash chip's identification wrong after every instruction of several bytes.
//
// A byte is on the bus for no time. A received byte that finds the data register full is lost, and that is an overrun
// (OVR), cleared by reading the data register and then the status. What is written while the controller is off waits
// until it is on.
//
// Not here: slave mode, 16-bit frames, CRC, one-wire, NSS of its own, I2S. The lines of chip select are pins.

using System.Collections.Generic;

using Antmicro.Renode.Core;
using Antmicro.Renode.Core.Structure;
using Antmicro.Renode.Peripherals.Bus;
using Antmicro.Renode.Peripherals.SPI;

namespace Antmicro.Renode.Peripherals.Carbonmeter
{
    public class Stm32Spi : NullRegistrationPointPeripheralContainer<ISPIPeripheral>, IDoubleWordPeripheral,
        IWordPeripheral, IBytePeripheral, IKnownSize
    {
        public Stm32Spi(IMachine machine) : base(machine)
        {
            IRQ = new GPIO();
            DMAReceive = new GPIO();
            DMATransmit = new GPIO();
        }

        public override void Reset()
        {
            settings.Clear();
            control1 = control2 = 0;
            isFull = isOverrun = wasRead = false;
            hasWaiting = false;
            ShowLines();
        }

        public uint ReadDoubleWord(long offset)
        {
            switch(offset)
            {
                case Control1:
                    return control1;
                case Control2:
                    return control2;
                case Status:
                    return ReadStatus();
                case Data:
                    return TakeReceived();
                default:
                    uint kept;
                    return settings.TryGetValue(offset, out kept) ? kept : offset == Polynomial ? PolynomialAtReset : 0;
            }
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            switch(offset)
            {
                case Control1:
                    control1 = value;
                    SendWaiting();
                    break;
                case Control2:
                    control2 = value;
                    break;
                case Status:
                    break;
                case Data:
                    waiting = (byte)value;
                    hasWaiting = true;
                    SendWaiting();
                    break;
                default:
                    settings[offset] = value;
                    break;
            }
            ShowLines();
        }

        // The DMA moves bytes.

        public byte ReadByte(long offset)
        {
            return (byte)ReadDoubleWord(offset);
        }

        public void WriteByte(long offset, byte value)
        {
            WriteDoubleWord(offset, value);
        }

        public ushort ReadWord(long offset)
        {
            return (ushort)ReadDoubleWord(offset);
        }

        public void WriteWord(long offset, ushort value)
        {
            WriteDoubleWord(offset, value);
        }

        public long Size { get { return 0x400; } }

        public GPIO IRQ { get; private set; }

        public GPIO DMAReceive { get; private set; }

        public GPIO DMATransmit { get; private set; }

        private void SendWaiting()
        {
            if(!hasWaiting || (control1 & Enabled) == 0)
            {
                return;
            }
            hasWaiting = false;
            var chip = RegisteredPeripheral;
            var answer = chip == null ? NobodyDrives : chip.Transmit(waiting);
            if(isFull)
            {
                isOverrun = true;
                wasRead = false;
                return;
            }
            received = answer;
            isFull = true;
        }

        private uint TakeReceived()
        {
            isFull = false;
            wasRead = true;
            ShowLines();
            return received;
        }

        private uint ReadStatus()
        {
            var flags = (hasWaiting ? Busy : TransmitEmpty) | (isFull ? ReceiveFull : 0) | (isOverrun ? Overrun : 0);
            if(isOverrun && wasRead)
            {
                isOverrun = false;
                ShowLines();
            }
            return flags;
        }

        // What is received is fetched before more is asked for: a request that is answered comes back here.
        private void ShowLines()
        {
            Show(IRQ, (!hasWaiting && (control2 & TransmitEmptyInterrupt) != 0)
                || (isFull && (control2 & ReceiveFullInterrupt) != 0)
                || (isOverrun && (control2 & ErrorInterrupt) != 0));
            Show(DMAReceive, isFull && (control2 & ReceiveByDma) != 0);
            Show(DMATransmit, !hasWaiting && (control2 & TransmitByDma) != 0);
        }

        private static void Show(GPIO line, bool isHigh)
        {
            if(line.IsSet != isHigh)
            {
                line.Set(isHigh);
            }
        }

        private uint control1;
        private uint control2;
        private byte received;
        private bool isFull;
        private bool isOverrun;
        // Since the overrun, the data register.
        private bool wasRead;
        // Written, and not yet on the bus.
        private byte waiting;
        private bool hasWaiting;
        private readonly Dictionary<long, uint> settings = new Dictionary<long, uint>();

        private const long Control1 = 0x00;
        private const long Control2 = 0x04;
        private const long Status = 0x08;
        private const long Data = 0x0C;
        private const long Polynomial = 0x10;
        private const uint PolynomialAtReset = 7;

        // CR1.
        private const uint Enabled = 1u << 6;

        // CR2.
        private const uint ReceiveByDma = 1u << 0;
        private const uint TransmitByDma = 1u << 1;
        private const uint ErrorInterrupt = 1u << 5;
        private const uint ReceiveFullInterrupt = 1u << 6;
        private const uint TransmitEmptyInterrupt = 1u << 7;

        // SR.
        private const uint ReceiveFull = 1u << 0;
        private const uint TransmitEmpty = 1u << 1;
        private const uint Overrun = 1u << 6;
        private const uint Busy = 1u << 7;

        private const byte NobodyDrives = 0xFF;
    }
}
