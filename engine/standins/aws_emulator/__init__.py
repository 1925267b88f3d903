"""What the aws stand-in makes for real where an emulator of AWS answers: tables of types, and the calls behind them."""
